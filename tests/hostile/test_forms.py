"""41: forms that are malformed, endless, or meant to leave their directory."""

from __future__ import annotations

import pytest

from tests.hostile.asking import INVALID, NATIVE, Asker, code
from tests.hostile.conftest import LARGEST
from tests.support.archives import FORM, file_part, form, part
from tests.support.bystander import unchanged
from tests.support.guarded import flooded
from tests.support.raw import Answer

TOO_LARGE = (413, "INVALID_PARAMETER_VALUE")
NOT_TAKEN = (415, "INVALID_PARAMETER_VALUE")
KIND = FORM["Content-Type"]
CHUNKED = "Transfer-Encoding: chunked"
GOOD = file_part("good")
NAMED = 'form-data; name="f"; filename="x"'


def post(asker: Asker, body: bytes, kind: str = KIND, directory: str = "forty-one/") -> Answer:
    return asker.ask("POST", f"{NATIVE}{directory}", f"Content-Type: {kind}", body=body)


def test_41_other_bodies(asker: Asker) -> None:
    kinds = [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json",
        "multipart/mixed; boundary=b",
        "multipart/form-datax; boundary=b",
        "multipart/*; boundary=b",
        "",
    ]
    with unchanged(asker.server):
        for kind in kinds:
            answer = post(asker, form(GOOD), kind)
            assert code(answer) == NOT_TAKEN, kind
            assert b"multipart/form-data" in answer.body
        two = [f"Content-Type: {KIND}"] * 2
        answer = asker.ask("POST", f"{NATIVE}forty-one/", *two, body=form(GOOD))
        assert code(answer) == NOT_TAKEN
        assert code(asker.ask("POST", f"{NATIVE}forty-one/", body=form(GOOD))) == NOT_TAKEN


@pytest.mark.parametrize(
    "parameter",
    ["", "; boundary=", "; boundary=" + "b" * 71, '; boundary="a', "; boundary=b; boundary=b", "; boundary"],
)
def test_41_boundaries_that_are_none(asker: Asker, parameter: str) -> None:
    with unchanged(asker.server):
        assert code(post(asker, form(GOOD), f"multipart/form-data{parameter}")) == INVALID


BROKEN = {
    "nothing": b"",
    "no boundary": b"hello",
    "a preamble": b"\r\nhello - this is a form\r\n" + form(GOOD),
    "another boundary": form(GOOD).replace(b"--b", b"--c"),
    "no end": GOOD,
    "half an end": GOOD + b"--b-",
    "an end at once": b"--b--\r\n",
    "no file": form(part('form-data; name="file"')),
    "only an input without a file": form(file_part("", b"")),
    "a file without a name": form(file_part("", b"x")),
    "no headers": form(GOOD, b"--b\r\n\r\nx\r\n"),
    "no disposition": form(GOOD, b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n"),
    "another disposition": form(GOOD, part('attachment; name="f"; filename="x"')),
    "a part without a name": form(GOOD, part('form-data; filename="x"')),
    "filename*": form(GOOD, part("form-data; name=\"f\"; filename*=UTF-8''x")),
    "both": form(GOOD, part('form-data; name="f"; filename="x"; filename*=UTF-8\'\'..%2fx')),
    "filename in pieces": form(GOOD, part('form-data; name="f"; filename*0="x"; filename*1="y"')),
    "two names": form(GOOD, part('form-data; name="f"; filename="x"; filename="y"')),
    "two dispositions": form(GOOD, part(NAMED, b"x", f"Content-Disposition: {NAMED}")),
    "an open quote": form(GOOD, part('form-data; name="f"; filename="x')),
    "a name that is not UTF-8": form(GOOD, file_part("ü").replace("ü".encode(), b"\xfc")),
    "a header without a colon": form(GOOD, b"--b\r\nContent-Disposition\r\n\r\nx\r\n"),
    "a header that is no token": form(GOOD, b"--b\r\nContent Disposition: form-data\r\n\r\nx\r\n"),
    "a bare LF": form(GOOD, b'--b\nContent-Disposition: form-data; name="f"; filename="x"\n\nx\n'),
    "an encoding": form(GOOD, part(NAMED, b"eA==", "Content-Transfer-Encoding: base64")),
    "many headers": form(GOOD, part(NAMED, b"", *["X-A: b"] * 16)),
    "large headers": form(GOOD, part(NAMED, b"", *["X-A: " + "b" * 4000] * 3)),
    "one large header": form(GOOD, part(f'form-data; name="f"; filename="{"x" * 9000}"')),
    "a file twice": form(GOOD, GOOD),
    "a file and a directory": form(GOOD, file_part("good/x")),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_41_forms_that_are_malformed(asker: Asker, broken: str) -> None:
    """In one piece, and in chunks of a few bytes."""
    body = BROKEN[broken]
    with unchanged(asker.server):
        refused = post(asker, body)
        assert refused.status in {400, 413}, refused
        assert code(refused)[1] == "INVALID_PARAMETER_VALUE"
        pieces = (body[start : start + 7] for start in range(0, len(body), 7))
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        head = asker.head("POST", f"{NATIVE}forty-one/", f"Content-Type: {KIND}", CHUNKED)
        again = asker.send(head + chunks + b"0\r\n\r\n")
        assert code(again) == code(refused)


@pytest.mark.parametrize(
    "name",
    [
        *("../x", "a/../x", "..", ".", "a/./x", "/etc/x", "//x", "a//x", "dir/", "C:/x", "C:\\\\x", "file:x"),
        *("a\\\\..\\\\x", "%2e%2e/x", "..%2fx", "%252e%252e%252fx", "..;/x", "a%00", "a%0Ab", "a%0Db", "%ff"),
        *("\x00", "a\x01b", "a\x7f", "x" * 256, "/".join("x" * 65), "%c0%ae%c0%ae/x"),
        *(".artifact-proxy/x", "a/.artifact-proxy-x", ".ARTIFACT-PROXY"),
    ],
)
def test_41_names_that_no_artifact_may_have(asker: Asker, name: str) -> None:
    with unchanged(asker.server):
        for body in (form(GOOD, file_part(name)), form(file_part(name), GOOD)):
            assert code(post(asker, body)) == INVALID, name
            assert code(post(asker, body, directory="")) == INVALID, name


def test_41_forms_that_have_no_measure(asker: Asker) -> None:
    field = part('form-data; name="field"')
    bodies = {
        "ten thousand parts": form(*[field] * 10_000),
        "a thousand and one": form(GOOD, *[field] * 1000),
        "a large field": form(GOOD, part('form-data; name="field"', bytes(64 * 1024 + 1))),
        "blank lines": b"\r\n" * 350_000 + form(GOOD),
        "an epilogue": form(GOOD) + b"x" * 700_000,
        "a large file": form(GOOD, file_part("large", bytes(LARGEST + 1))),
    }
    with unchanged(asker.server):
        for name, body in bodies.items():
            answer = post(asker, body)
            assert code(answer) in {TOO_LARGE, INVALID}, name
    assert post(asker, b"\r\n" * 1000 + form(*[field] * 999, GOOD) + b"bye").status == 201
    assert asker.ask("DELETE", f"{NATIVE}forty-one").status == 204


def test_41_a_form_that_never_ends_is_refused_while_it_comes(asker: Asker) -> None:
    begin = asker.head("POST", f"{NATIVE}forty-one/", f"Content-Type: {KIND}", CHUNKED)
    with unchanged(asker.server):
        assert code(flooded(asker.server.url, begin)) == INVALID
        large = b"%x\r\n%b\r\n" % (len(GOOD), GOOD[:-2] + b"..")
        assert code(flooded(asker.server.url, begin + large)) == TOO_LARGE


def test_41_a_target_that_is_no_directory_of_ours(asker: Asker) -> None:
    with unchanged(asker.server):
        for directory in ("../", "a/../", "%2e%2e/", "a//", "/", ".artifact-proxy/", "%ff/", "a%00/"):
            assert code(post(asker, form(GOOD), directory=directory)) == INVALID, directory
