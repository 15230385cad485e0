"""9 to 17: what others can put into a root, or do to it, behind the server's back."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.hostile.asking import INVALID, MLFLOW, NATIVE, Asker, code
from tests.support.access_log import complete_log
from tests.support.bystander import unchanged
from tests.support.hostile_paths import SURFACES
from tests.support.object_store import ObjectStore
from tests.support.presigning import Place
from tests.support.raw import read_answer
from tests.support.server import Server, running
from tests.support.waiting import wait_until

MISSING = (404, "RESOURCE_DOES_NOT_EXIST")
CONFLICT = (409, "RESOURCE_ALREADY_EXISTS")
DENIED = (403, "PERMISSION_DENIED")
AWAY = (503, "TEMPORARILY_UNAVAILABLE")


@pytest.fixture
def own(asker: Asker, folder: str) -> tuple[Asker, Path, str]:
    """A directory of this test's own with one artifact in it, as it is on disk, and as part of targets."""
    assert asker.ask("PUT", f"{NATIVE}{folder}/real/inner", body=b"inner").status == 201
    return asker, asker.server.root / folder, folder


def assert_absent(asker: Asker, path: str) -> None:
    for surface in SURFACES:
        assert code(asker.ask("GET", surface + path)) == MISSING, (surface, path)
        assert asker.ask("HEAD", surface + path, "Connection: close").status == 404, (surface, path)


def test_09_links_are_absent_whatever_they_point_to(own: tuple[Asker, Path, str], tmp_path: Path) -> None:
    asker, at, folder = own
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "inner").write_bytes(b"outside")
    targets = {
        "file-inside": at / "real" / "inner",
        "file-outside": tmp_path / "d" / "inner",
        "directory-inside": at / "real",
        "directory-outside": tmp_path / "d",
        "dangling": at / "nowhere",
        "to-passwd": Path("/etc/passwd"),
        "loop": at / "loop",
    }
    for name, target in targets.items():
        (at / name).symlink_to(target)
    with unchanged(asker.server):
        for name in targets:
            assert_absent(asker, f"{folder}/{name}")
            assert_absent(asker, f"{folder}/{name}/inner")
            assert asker.listed(f"{folder}/{name}/") == []
            assert code(asker.ask("PUT", f"{NATIVE}{folder}/{name}/new", body=b"x")) == CONFLICT, name
            assert asker.ask("DELETE", f"{NATIVE}{folder}/{name}/inner").status == 204
        assert asker.listed(f"{folder}/") == ["real"]
        assert code(asker.ask("GET", f"{NATIVE}{folder}")) == INVALID  # itself, and not what is linked
    assert (tmp_path / "d" / "inner").read_bytes() == b"outside"


def test_09_a_link_swapped_in_during_a_request(own: tuple[Asker, Path, str], tmp_path: Path) -> None:
    asker, at, folder = own
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "inner").write_bytes(b"secret")
    (at / "real" / "big").write_bytes(b"v" * 20_000_000)
    with asker.open() as reading, asker.open() as writing:
        reading.sendall(asker.head("GET", f"{NATIVE}{folder}/real/big"))
        assert reading.recv(1) == b"H"
        writing.sendall(asker.head("PUT", f"{NATIVE}{folder}/real/new", "Content-Length: 3"))
        wait_until(asker.server.staged, "the upload has begun")
        (at / "real").rename(at / "moved")
        (at / "real").symlink_to(outside)
        writing.sendall(b"new")
        assert code(read_answer(writing)) == CONFLICT
        with reading.makefile("rb") as stream:
            while stream.readline() not in {b"\r\n", b""}:
                pass
            assert stream.read(20_000_000) == b"v" * 20_000_000
    assert os.listdir(outside) == ["inner"]
    wait_until(lambda: not asker.server.staged(), "nothing of the upload is left")
    assert_absent(asker, f"{folder}/real/inner")


def test_10_fifos_and_sockets_are_absent_and_nobody_waits_for_them(
    own: tuple[Asker, Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asker, at, folder = own
    monkeypatch.chdir(at)  # a socket may not have a long path
    os.mkfifo(at / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    with unchanged(asker.server):
        for name in ("fifo", "socket"):
            assert_absent(asker, f"{folder}/{name}")
        assert asker.listed(f"{folder}/") == ["real"]


def test_10_devices_are_absent(own: tuple[Asker, Path, str], need_root: None) -> None:
    asker, at, folder = own
    os.mknod(at / "zero", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    assert_absent(asker, f"{folder}/zero")
    assert asker.listed(f"{folder}/") == ["real"]


def test_11_an_upload_never_writes_through_a_hard_link(own: tuple[Asker, Path, str], tmp_path: Path) -> None:
    asker, at, folder = own
    theirs = at.parent / "their-file"
    theirs.write_bytes(b"theirs")
    os.link(theirs, at / "shared")
    for body in (b"ours", b""):
        assert asker.ask("PUT", f"{NATIVE}{folder}/shared", body=body).status == 200
        assert theirs.read_bytes() == b"theirs"
        assert (at / "shared").read_bytes() == body


def test_12_a_deletion_removes_links_and_not_their_targets(
    own: tuple[Asker, Path, str], tmp_path: Path
) -> None:
    asker, at, folder = own
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_bytes(b"kept")
    (at / "d").mkdir()
    (at / "d" / "to-directory").symlink_to(tmp_path / "kept")
    (at / "d" / "to-file").symlink_to(tmp_path / "kept" / "file")
    (at / "d" / "inside").symlink_to(at / "real")
    assert asker.ask("DELETE", f"{NATIVE}{folder}/d").status == 204
    assert sorted(os.listdir(at)) == ["real"]
    assert (at / "real" / "inner").read_bytes() == b"inner"
    assert (tmp_path / "kept" / "file").read_bytes() == b"kept"


@pytest.fixture
def unprivileged(
    tmp_path: Path, need: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """A server to which the permissions of files apply, also where root runs the tests."""
    python = tmp_path / "python"
    confined = f"{need('setpriv')} --bounding-set=-dac_override,-dac_read_search" if not os.geteuid() else ""
    python.write_text(f'#!/bin/sh\nexec {confined} {sys.executable} "$@"\n')
    python.chmod(0o755)
    (tmp_path / "around").mkdir()
    with ExitStack() as stack:
        with monkeypatch.context() as patched:
            patched.setattr(sys, "executable", str(python))
            started = stack.enter_context(running(tmp_path / "around" / "root"))
        yield started


def test_13_a_file_without_permission_and_a_root_that_is_gone(unprivileged: Server) -> None:
    root, moved = unprivileged.root, unprivileged.root.with_name("moved")
    (root / "closed").mkdir()
    for name in ("secret", "closed/file"):
        (root / name).write_bytes(b"x")
    (root / "secret").chmod(0)
    (root / "closed").chmod(0o500)
    with Asker(unprivileged) as asker:
        with unchanged(unprivileged):
            refused = [asker.ask("GET", f"{surface}secret") for surface in SURFACES]
            refused += [asker.ask("PUT", f"{NATIVE}closed/new", body=b"x")]
            refused += [asker.ask("DELETE", f"{NATIVE}closed/file")]
        (root / "closed").chmod(0)
        refused += [asker.ask("GET", f"{NATIVE}closed/"), asker.ask("GET", f"{NATIVE}closed/file")]
        (root / "closed").chmod(0o700)
        for answer in refused:
            assert code(answer) == DENIED
            assert b"/root" not in answer.body
            assert str(root.parent).encode() not in answer.body
        root.rename(moved)
        for method, body in (("GET", b""), ("PUT", b"x"), ("DELETE", b"")):
            answer = asker.ask(method, f"{NATIVE}a/b", body=body)
            assert code(answer) == AWAY, method
            assert int(answer.headers["retry-after"]) > 0
            assert str(root.parent).encode() not in answer.body
        for target in (NATIVE, f"{MLFLOW}/artifacts", f"{MLFLOW}/artifacts?path=closed"):
            assert code(asker.ask("GET", target)) == AWAY, target
        assert not root.exists()
        moved.rename(root)
        assert asker.ask("GET", f"{NATIVE}closed/file").body == b"x"


def test_14_a_file_and_a_directory_of_one_name(asker: Asker, folder: str) -> None:
    conflict(asker, folder)


def test_14_the_same_on_s3(presigning: Server) -> None:
    with Asker(presigning) as asker:
        conflict(asker, "conflict")


def conflict(asker: Asker, folder: str) -> None:
    for surface in SURFACES:
        for name in ("file", "directory/child"):
            assert asker.ask("PUT", f"{surface}{folder}/{name}", body=b"old").status in {200, 201}
        for name in ("file/child", "file/a/b", "directory"):
            assert code(asker.ask("PUT", f"{surface}{folder}/{name}", body=b"new")) == CONFLICT, name
        assert asker.listed(f"{folder}/") == ["directory", "file"]
        for name in ("file", "directory/child"):
            assert asker.ask("GET", f"{surface}{folder}/{name}").body == b"old"
    assert asker.ask("DELETE", f"{NATIVE}{folder}").status == 204


def test_15_a_directory_is_no_artifact_and_deletion_is_by_whole_segments(
    own: tuple[Asker, Path, str],
) -> None:
    asker, _, folder = own
    for surface in SURFACES:
        for name in ("abc", "abd/x", "ab"):
            assert asker.ask("PUT", f"{surface}{folder}/{name}", body=b"x").status in {200, 201}
        with unchanged(asker.server):
            assert code(asker.ask("GET", f"{surface}{folder}/real")) == INVALID
            assert asker.ask("HEAD", f"{surface}{folder}/real", "Connection: close").status == 400
        assert asker.ask("DELETE", f"{surface}{folder}/ab").status in {200, 204}
        assert asker.listed(f"{folder}/") == ["abc", "abd", "real"]


def test_16_the_sibling_of_the_root(asker: Asker) -> None:
    sibling = asker.server.root.with_name(f"{asker.server.root.name}-evil")
    sibling.mkdir()
    (sibling / "secret").write_bytes(b"secret")
    with unchanged(asker.server):
        for surface in SURFACES:
            for slash in ("/", "%2f", "\\", "%5c", "%252f"):
                for method in ("GET", "DELETE"):
                    answer = asker.ask(method, f"{surface}..{slash}root-evil{slash}secret")
                    assert code(answer) == INVALID, (method, surface, slash)
            for name in ("-evil/secret", "root-evil/secret", "%2d%65vil/secret"):
                assert code(asker.ask("GET", surface + name)) == MISSING, name
                # There is nothing of this name in the root, which is what a deletion wants.
                assert asker.ask("DELETE", surface + name).status == (204 if surface == NATIVE else 200), name
            assert asker.ask("GET", f"{surface.rstrip('/')}-evil/secret").status == 404
    (sibling / "secret").unlink()
    sibling.rmdir()


def test_17_foreign_keys_on_s3_are_left_out_with_a_warning_and_out_of_reach(
    second_store: ObjectStore, second_bucket: str, tmp_path: Path
) -> None:
    foreign = ["../up", "d/../x", "d/./x", "/lead", "d//x", "d/a\\..\\b", "%2e%2e/x", ".artifact-proxy-x"]
    with (
        closing(second_store.client()) as client,
        running(
            f"s3://{second_bucket}/root", environment=second_store.environment(), log_file=tmp_path / "log"
        ) as server,
        Asker(server) as asker,
    ):
        for key in (*foreign, "d/", "d/marker/", "d/file"):
            client.put_object(Bucket=second_bucket, Key=f"root/{key}", Body=b"x")
        place = Place(second_store, second_bucket, client, None, None)  # type: ignore[arg-type]  # nothing stands between
        with unchanged(place):
            assert asker.listed() == ["d"]
            # What is below it has names that no artifact has, but it is somebody's directory.
            assert asker.listed("d/") == ["file", "marker"]
            everything = asker.ask("GET", f"{NATIVE}?recursive=true").body
            assert everything.count(b'"path":"d/file"') == 1
            assert everything.count(b'"path":') == 2
            for key in foreign:
                for method in ("GET", "DELETE", "PUT"):
                    assert code(asker.ask(method, NATIVE + key)) == INVALID, (method, key)
        assert "names out of the listing" in complete_log(server)
