"""42: archives that are to be unpacked: each member's name is judged as a path, and nothing is half there."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zipfile

import pytest

from tests.hostile.asking import INVALID, NATIVE, Asker, code
from tests.hostile.conftest import LARGEST
from tests.support.archives import FORMATS, Format, packed
from tests.support.bystander import unchanged
from tests.support.raw import Answer

TOO_LARGE = (413, "INVALID_PARAMETER_VALUE")
formats = pytest.mark.parametrize("archive", FORMATS)


def put(asker: Asker, archive: str, body: bytes, directory: str = "forty-two/") -> Answer:
    return asker.ask("PUT", f"{NATIVE}{directory}?archive={archive}", body=body)


EVIL = [
    *("../x", "a/../../x", "a/..", "..", "/etc/x", "//x", "a//x", "a/./x", "././x"),
    *("C:/x", "C:\\x", "file:x"),
    *("..\\x", "a\\..\\x", "\\\\host\\x", "%2e%2e/x", "..%2fx", "%252e%252e%252fx", "..;/x"),
    *("a\nb", "a\x01b", "a\x7f", "x" * 256, "/".join("x" * 65), "/".join(["y" * 250] * 5)),
    *(".artifact-proxy/x", "a/.artifact-proxy-x", ".ARTIFACT-PROXY/staging/x"),
]


@formats
@pytest.mark.parametrize("name", EVIL)
def test_42_names_that_no_artifact_may_have(asker: Asker, archive: Format, name: str) -> None:
    with unchanged(asker.server):
        body = packed(archive, {"good": b"data", name: b"evil", "later": b"data"})
        for directory in ("forty-two/", "", "forty/two/deep/"):
            assert code(put(asker, archive, body, directory)) == INVALID, name


def with_directories(archive: Format, *names: str) -> bytes:
    """A file, and directories of these names, which are not stored."""
    written = io.BytesIO()
    if archive == "zip":
        with zipfile.ZipFile(written, "w") as zipped:
            zipped.writestr("good", b"data")
            for name in names:
                zipped.writestr(zipfile.ZipInfo(name), b"")
        return written.getvalue()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name in ("good", *names):
            info = tarfile.TarInfo(name)
            info.type = tarfile.REGTYPE if name == "good" else tarfile.DIRTYPE
            tar.addfile(info)
    return written.getvalue()


@formats
@pytest.mark.parametrize("name", [*EVIL, "", "/", "./..", "../..", ".artifact-proxy"])
def test_42_directories_with_names_that_none_may_have(asker: Asker, archive: Format, name: str) -> None:
    with unchanged(asker.server):
        body = with_directories(archive, "fine/", f"{name}/")
        assert code(put(asker, archive, body)) == INVALID, name


@formats
def test_42_directories_as_programs_name_them(asker: Asker, archive: Format) -> None:
    body = with_directories(archive, "./", "./sub/", "sub/", "ünï/ & co/")
    assert put(asker, archive, body).status == 201
    assert asker.ask("DELETE", f"{NATIVE}forty-two").status == 204


def special(kind: bytes, link: str = "") -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        good = tarfile.TarInfo("good")
        good.size = 4
        tar.addfile(good, io.BytesIO(b"data"))
        info = tarfile.TarInfo("special")
        info.type, info.linkname = kind, link
        tar.addfile(info)
    return written.getvalue()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_42_members_that_are_no_files(asker: Asker, kind: bytes) -> None:
    with unchanged(asker.server):
        for link in ("good", "/etc/passwd", "../../x"):
            assert code(put(asker, "tar", special(kind, link))) == INVALID


@formats
def test_42_files_that_cannot_be_together(asker: Asker, archive: Format) -> None:
    with unchanged(asker.server):
        for names in (["a", "b", "a"], ["a", "a/b"], ["a/b/c", "a"], ["a/b", "a-", "a"]):
            if archive == "zip" and len(set(names)) < len(names):
                continue  # Python writes none, with a warning
            body = packed(archive, [(name, b"x") for name in names])
            assert code(put(asker, archive, body)) == INVALID, names


@formats
def test_42_archives_that_are_damaged_or_none(asker: Asker, archive: Format) -> None:
    whole = packed(archive, {"a": bytes(range(256)) * 40, "b": b"data"})
    empty = packed(archive, {})
    other = packed("zip" if archive == "tar" else "tar", {"a": b"data"})
    chance = random.Random(42)  # noqa: S311 - no secret
    bodies = [b"", b"x", bytes(512), chance.randbytes(3000), b"<html>" * 500]
    bodies += [gzip.compress(whole), other, empty]
    last = len(whole.rstrip(b"\0")) if archive == "tar" else len(whole)
    bodies += [whole[:cut] for cut in sorted(chance.sample(range(1, last), 20))]
    bodies += [whole + b"x", whole + whole]
    with unchanged(asker.server):
        for number, body in enumerate(bodies):
            assert code(put(asker, archive, body)) == INVALID, number
    assert put(asker, archive, whole).status == 201
    assert asker.ask("DELETE", f"{NATIVE}forty-two").status == 204


def test_42_a_zip_whose_bytes_are_not_those_that_it_announced(asker: Asker) -> None:
    whole = packed("zip", {"a": b"some data"}, zipfile.ZIP_STORED)
    with unchanged(asker.server):
        assert code(put(asker, "zip", whole.replace(b"some data", b"same data"))) == INVALID


@formats
def test_42_members_that_are_too_large(asker: Asker, archive: Format) -> None:
    """A zip of a few kilobytes becomes as much as one likes."""
    body = packed(archive, {"good": b"data", "bomb": bytes(LARGEST + 1)})
    with unchanged(asker.server):
        assert code(put(asker, archive, body)) == TOO_LARGE


def test_42_an_archive_of_one_byte_at_a_time(asker: Asker) -> None:
    """Each with a chunk of its own."""
    body = packed("zip", {"../x": b"evil"})
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    head = asker.head("PUT", f"{NATIVE}forty-two/?archive=zip", "Transfer-Encoding: chunked")
    with unchanged(asker.server):
        assert code(asker.send(head + chunks)) == INVALID


def test_42_a_target_that_is_no_directory_of_ours(asker: Asker) -> None:
    body = packed("tar", {"a": b"data"})
    with unchanged(asker.server):
        for directory in ("../", "a/../", "%2e%2e/", "a//", "/", ".artifact-proxy/", "%ff/", "a%00/"):
            assert code(put(asker, "tar", body, directory)) == INVALID, directory
            asked = asker.ask("GET", f"{NATIVE}{directory}?archive=tar")
            assert code(asked) == INVALID, directory
