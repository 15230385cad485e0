"""1 to 8: paths that no artifact may have; and legal names, however odd, that are kept exactly."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Sequence

from tests.hostile.asking import INVALID, MALFORMED, MLFLOW, NATIVE, Asker, code
from tests.hostile.conftest import Guarded
from tests.support.bystander import unchanged
from tests.support.hostile_paths import (
    CONTROLS,
    DOTS,
    EMPTY_SEGMENTS,
    ENCODINGS,
    FOREIGN,
    OWN,
    SURFACES,
    TOO_LONG,
)
from tests.support.presigning import Place
from tests.support.server import Server


def refuse_everywhere(asker: Asker, paths: Sequence[str]) -> None:
    """Each of these is 400 wherever an artifact or a directory is named, and storage stays as it was."""
    with unchanged(asker.server):
        for path in paths:
            for surface in SURFACES:
                for method in ("PUT", "GET", "DELETE"):
                    answer = asker.ask(method, surface + path, body=b"evil" if method == "PUT" else b"")
                    assert code(answer) == INVALID, (method, surface, path)
                    assert str(asker.server.root) not in answer.body.decode(), path
            query = path.replace(";", "%3b").replace("#", "%23")
            assert code(asker.ask("GET", f"{MLFLOW}/artifacts?path={query}")) == INVALID, path
            assert code(asker.ask("GET", f"{MLFLOW}/presigned/{path}")) == INVALID, path


def test_01_dots_as_a_segment_in_any_disguise(asker: Asker) -> None:
    more = ["%252e%252e%252f", "a/b/%2e%2e", "%2525252e%2525252e/x", "..;/", "%2e%2e;/x", "a/..%5c..%5cx"]
    refuse_everywhere(asker, [*DOTS, *more])


def test_01_dots_in_the_body_of_a_multipart_upload(presigning: Server, place: Place) -> None:
    with Asker(presigning) as asker, unchanged(place):
        for path in ("..", "a/..", ".", "%2e%2e", "..\\x", "%252e%252e%252fx", "..;x"):
            body = json.dumps({"path": path, "num_parts": 1}).encode()
            answer = asker.ask("POST", f"{MLFLOW}/mpu/create/d", "Content-Type: application/json", body=body)
            assert code(answer) == INVALID, path
        for directory in ("..%2fx", "%2e%2e", "d/..", "%252e%252e"):
            body = json.dumps({"path": "x", "num_parts": 1}).encode()
            answer = asker.ask(
                "POST", f"{MLFLOW}/mpu/create/{directory}", "Content-Type: application/json", body=body
            )
            assert code(answer) == INVALID, directory


def test_02_a_dot_an_empty_segment_and_a_leading_slash(asker: Asker) -> None:
    refuse_everywhere(asker, [*EMPTY_SEGMENTS, "a/./b", "./a", "a///b", "%2f%2fetc", "%2Fetc"])


def test_03_an_upload_with_a_trailing_slash_and_changes_of_the_root(asker: Asker) -> None:
    with unchanged(asker.server):
        for surface in SURFACES:
            for path in ("", "d/", "d/e/", "d%2f", "d%2F%2f"):
                assert code(asker.ask("PUT", surface + path, body=b"x")) == INVALID, (surface, path)
            assert code(asker.ask("DELETE", surface)) == INVALID, surface


def test_04_control_characters_encoded(asker: Asker) -> None:
    more = [f"a%{number:02x}b" for number in (*range(32), 127)]
    refuse_everywhere(asker, [*CONTROLS, *more])


def test_04_control_characters_raw(asker: Asker) -> None:
    """Those that end a line or a request are no HTTP; all others are no path."""
    with unchanged(asker.server):
        for number in (*range(32), 127):
            request = asker.head("PUT", f"{NATIVE}a{chr(number)}b", "Content-Length: 0", "Connection: close")
            assert code(asker.last(request)) in {MALFORMED, INVALID}, number


def test_05_broken_escapes_and_what_is_not_utf_8(asker: Asker) -> None:
    refuse_everywhere(
        asker, [*ENCODINGS, "%zz", "%2", "%c0%ae", "a%ed%a0%80b", "%c1%bf", "%e0%80%af", "%u002e"]
    )


def test_05_raw_high_bytes(asker: Asker) -> None:
    with unchanged(asker.server):
        for raw in ("\xc3\xa9", "\xff", "\xc0\xae"):
            for method in ("PUT", "GET", "DELETE"):
                length = ["Content-Length: 0"] if method == "PUT" else []
                request = asker.head(method, f"{NATIVE}a{raw}", *length, "Connection: close")
                assert code(asker.last(request)) in {INVALID, MALFORMED}, (method, raw)


def test_06_a_segment_of_256_bytes_and_65_segments(asker: Asker) -> None:
    refuse_everywhere(asker, [*TOO_LONG, "d/" + "x" * 256, "a/" * 64 + "a"])


def test_06_a_key_that_is_too_long_with_its_prefix(presigning: Server, place: Place) -> None:
    """The prefix and its slash are five bytes, so a path of 1020 makes a key of 1025."""
    longest = "/".join(["k" * 200] * 5) + "/" + "k" * 15
    with Asker(presigning) as asker, unchanged(place):
        for surface in SURFACES:
            for method in ("PUT", "GET", "DELETE"):
                assert code(asker.ask(method, f"{surface}{longest[:1019]}k")) == INVALID
        assert asker.ask("GET", NATIVE + longest[:1019]).status == 404


def test_07_urls_drives_and_unc_names(asker: Asker) -> None:
    more = ["file:x", "s3%3a%2f%2fbucket%2fx", "C:%5cx", "%5c%5cserver%5cshare", "\\\\server\\share"]
    refuse_everywhere(asker, [*FOREIGN, *more, "//server/share"])


def test_08_the_servers_own_names(asker: Asker) -> None:
    staging = ".artifact-proxy/staging"
    assert (asker.server.root / staging).is_dir()
    refuse_everywhere(asker, [*OWN, staging, f"{staging}/", "%2eartifact-proxy/x", "a/.Artifact-Proxy"])
    assert ".artifact-proxy" not in asker.listed()


LEGAL = {
    "caf%C3%A9": "caf\u00e9",
    "cafe%CC%81": "cafe\u0301",
    "%D7%A9%E2%80%AEtxt": "\u05e9\u202etxt",
    "%E2%80%8Bz%E2%80%8D": "\u200bz\u200d",
    "CON": "CON",
    "NUL": "NUL",
    "a.": "a.",
    "a:b": "a:b",
    "A": "A",
    "a": "a",
    "%2520": "%20",
    "%20%20": "  ",
    "+&%3B%3F'%22%23": "+&;?'\"#",
    "%F0%9F%8E%89": "\N{PARTY POPPER}",
    "x" * 255: "x" * 255,
    "%C3%A9" * 127 + "y": "\u00e9" * 127 + "y",
}


def test_legal_names_are_stored_and_read_back_exactly(asker: Asker, guarded: Guarded) -> None:
    assert unicodedata.normalize("NFC", LEGAL["cafe%CC%81"]) == LEGAL["caf%C3%A9"]
    for surface, directory in zip(SURFACES, ("legal-1", "legal-2", "legal-3"), strict=True):
        base = f"{surface}{directory}/"
        for target in LEGAL:
            assert asker.ask("PUT", base + target, body=target.encode()).status in {200, 201}, target
        assert set(os.listdir(asker.server.root / directory)) == set(LEGAL.values())
        for target in LEGAL:
            assert asker.ask("GET", base + target).body == target.encode(), target
        assert asker.listed(f"{directory}/") == sorted(LEGAL.values())
        for target in LEGAL:
            assert asker.ask("DELETE", base + target).status in {200, 204}, target
        assert not (asker.server.root / directory).exists()
    for log in (guarded.server.log_file, guarded.audit_log):
        lines = log.read_bytes().splitlines()
        assert any(b"legal-1" in line for line in lines)
        assert all(line.isascii() and b"\x1b" not in line for line in lines), log
