"""Listings: paths, parameters, names that JSON must escape, and very many entries."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from pathlib import Path

from tests.hostile.asking import INVALID, MLFLOW, NATIVE, Asker, code
from tests.support.bystander import unchanged
from tests.support.hostile_paths import REFUSED

ENTRIES = 100_000
MEGABYTE = 1024 * 1024


def test_the_rules_for_paths_hold_for_directories(asker: Asker) -> None:
    with unchanged(asker.server):
        for path in REFUSED:
            query = path.replace(";", "%3b")
            assert code(asker.ask("GET", f"{MLFLOW}/artifacts?path={query}")) == INVALID, path
            if not path.endswith("/"):
                assert code(asker.ask("GET", f"{NATIVE}{path}/")) == INVALID, path


def test_a_repeated_path_is_refused(asker: Asker) -> None:
    for query in ("path=a&path=b", "path=a&path=a", "path=&path=", "path=a&%70ath=b", "path=a&p%61th=.."):
        assert code(asker.ask("GET", f"{MLFLOW}/artifacts?{query}")) == INVALID, query
    for query in (
        "max_results=1&max_results=2",
        "recursive=true&recursive=false",
        "page_token=YQ==&page_token=",
    ):
        assert code(asker.ask("GET", f"{NATIVE}?{query}")) == INVALID, query


def test_limits_and_tokens_that_make_no_sense_are_refused(asker: Asker) -> None:
    numbers = [
        "0",
        "-1",
        "10001",
        "9" * 50,
        "9" * 5000,
        "1e3",
        "1.0",
        "0x10",
        "+1",
        "%2b1",
        "x",
        "",
        "%d9%a1",
        "1%00",
    ]
    escape = [
        base64.urlsafe_b64encode(text).decode() for text in (b"../x", b"/x", b"a//b", b"\x00", b"\xff", b"")
    ]
    tokens = ["x", "====", "!!", "%00", "%ff", "A" * 5000, "-1", *escape[:-1], "YQ==%0a", "Y Q=="]
    with unchanged(asker.server):
        for number in numbers:
            assert code(asker.ask("GET", f"{NATIVE}?max_results={number}")) == INVALID, number
        for token in tokens:
            assert code(asker.ask("GET", f"{NATIVE}?page_token={token.replace(' ', '%20')}")) == INVALID, (
                token
            )
        for flag in ("", "1", "yes", "TRUE", "x"):
            assert code(asker.ask("GET", f"{NATIVE}?recursive={flag}")) == INVALID, flag


def test_names_that_json_must_escape(asker: Asker, folder: str) -> None:
    names = ['"', "\\u0041"[1:], "<b", "\u2028", "\u200b", "\N{GRINNING FACE}", "{}", "[1]", "null", "\u202e"]
    for number, name in enumerate(names):
        encoded = "".join(f"%{byte:02x}" for byte in name.encode())
        assert asker.ask("PUT", f"{NATIVE}{folder}/{encoded}", body=b"x" * number).status == 201, name
    assert asker.listed(f"{folder}/") == sorted(names)
    listed = json.loads(asker.ask("GET", f"{MLFLOW}/artifacts?path={folder}").body)
    assert {file["path"]: file["file_size"] for file in listed["files"]} == {
        n: i for i, n in enumerate(names)
    }


def test_100_000_entries_are_listed_in_bounded_memory(asker: Asker, folder: str) -> None:
    directory = asker.server.root / folder
    directory.mkdir()
    for number in range(ENTRIES):
        os.mknod(f"{directory}/{number:06}")
    process = Path("/proc", str(asker.server.process.pid))
    (process / "clear_refs").write_text("5")  # the highest mark begins anew
    before = _highest(process)
    whole = asker.ask("GET", f"{MLFLOW}/artifacts?path={folder}").body
    assert whole.count(b'"path"') == ENTRIES
    page = json.loads(asker.ask("GET", f"{NATIVE}{folder}/?max_results=10000").body)
    assert [entry["name"] for entry in page["entries"][:2]] == ["000000", "000001"]
    assert len(page["entries"]) == 10_000
    assert _highest(process) - before < 150 * MEGABYTE
    shutil.rmtree(directory)


def _highest(process: Path) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())
    assert found
    return int(found[1]) * 1024
