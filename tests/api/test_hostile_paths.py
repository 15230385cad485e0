"""Paths that no artifact may have, byte for byte as an attacker would send them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.hostile_paths import REFUSED, SURFACES
from tests.support.raw import exchange, head
from tests.support.server import Server


def everything_below(directory: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.lstat().st_mtime_ns) for path in directory.rglob("*"))


@pytest.mark.parametrize("path", REFUSED)
def test_a_path_that_no_artifact_may_have_is_400_and_changes_nothing(server: Server, path: str) -> None:
    outside = server.root.parent
    before = everything_below(outside)
    for surface in SURFACES:
        for method in ("PUT", "GET", "HEAD", "DELETE"):
            body = b"evil" if method == "PUT" else b""
            request = head(method, surface + path, f"Content-Length: {len(body)}", "Connection: close") + body
            answer = exchange(server.url, request)
            assert answer.status == 400, (method, surface, answer)
            if method != "HEAD":
                assert json.loads(answer.body)["error_code"] == "INVALID_PARAMETER_VALUE"
                assert str(server.root) not in answer.body.decode()
    assert [entry for entry in everything_below(outside) if not entry[0].endswith(".log")] == [
        entry for entry in before if not entry[0].endswith(".log")
    ]


@pytest.mark.parametrize("path", [p for p in REFUSED if not p.endswith("/") and "#" not in p])
def test_such_a_path_in_a_query_is_400(server: Server, path: str) -> None:
    target = f"/api/2.0/mlflow-artifacts/artifacts?path={path.replace(';', '%3b')}"
    answer = exchange(server.url, head("GET", target, "Connection: close"))
    assert answer.status == 400
    assert json.loads(answer.body)["error_code"] == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize("path", ["", "d/", "d%2f"])
def test_an_upload_needs_a_name(server: Server, path: str) -> None:
    for surface in SURFACES:
        answer = exchange(
            server.url, head("PUT", surface + path, "Content-Length: 1", "Connection: close") + b"x"
        )
        assert answer.status == 400


@pytest.mark.parametrize("raw", [b"\xc3\xa9", b"\xff", b"a\x00b", b"a\rb"])
def test_raw_bytes_that_must_be_encoded_are_400(server: Server, folder: str, raw: bytes) -> None:
    request = (
        b"PUT /v1/artifacts/"
        + folder.encode()
        + b"/"
        + raw
        + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
    )
    answer = exchange(server.url, request)
    assert answer.status == 400
    assert folder not in os.listdir(server.root)


LEGAL = {
    "CON": "CON", "NUL.txt": "NUL.txt", "a.": "a.", "a:b": "a:b", "A": "A", "a": "a", "%2520": "%20",
    "a%20+%20b": "a + b", "%26%3b%3f'%22%23": "&;?'\"#", "%F0%9F%8E%89": "\N{PARTY POPPER}",
    "%C3%A9": "\u00e9", "e%CC%81": "e\u0301", "%E2%80%8Bz": "\u200bz", "%D7%A9": "\u05e9",
    "x" * 255: "x" * 255, "100%25": "100%", "a%2520b": "a%20b", "..a": "..a", "a..b": "a..b", "...": "...",
}  # fmt: skip


@pytest.mark.parametrize("path", LEGAL)
def test_a_legal_name_is_stored_and_read_back_exactly(server: Server, folder: str, path: str) -> None:
    for surface in SURFACES:
        target = f"{surface}{folder}/{path}"
        content = path.encode()[:20]
        put = head("PUT", target, f"Content-Length: {len(content)}", "Connection: close") + content
        assert exchange(server.url, put).status in {200, 201}
        assert os.listdir(server.root / folder) == [LEGAL[path]]
        assert exchange(server.url, head("GET", target, "Connection: close")).body == content
        assert exchange(server.url, head("DELETE", target, "Connection: close")).status in {200, 204}
        assert not (server.root / folder).exists()
