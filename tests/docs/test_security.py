"""What docs/security.md and docs/reverse-proxies.md show to copy works as it stands there."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from app import token_command
from app.identity import access_file
from tests.support.access import token_stanza
from tests.support.documents import blocks, read

SECURITY = read("docs/security.md")
BLOCKS = [block.text for block in blocks(SECURITY + read("docs/reverse-proxies.md"), "toml")]
TOKEN = re.search(r"^artifact-proxy token (new ci (?:.*\\\n)*.*)$", SECURITY, re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_access_file_can_be_used(block: str, tmp_path: Path) -> None:
    someone = "" if "[[tokens]]" in block else token_stanza("a", "all:")[1]
    access_file.parse(f"{block}\n{someone}", tmp_path)


def test_all_ways_to_be_known_can_be_used_at_once(tmp_path: Path) -> None:
    tables = ("[[tokens]]", "[[issuers]]", "[proxy_header]", "[everybody]")
    blocks = [next(block for block in BLOCKS if table in block) for table in tables]
    access_file.parse("\n".join(blocks), tmp_path)


def test_the_command_for_a_token_adds_the_stanza_that_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert TOKEN is not None
    assert token_command.main(shlex.split(TOKEN[1].replace("\\\n", " "))) == 0
    made = tomllib.loads((tmp_path / "access.toml").read_text())
    shown = tomllib.loads(next(block for block in BLOCKS if "[[tokens]]" in block))
    for stanza in (made["tokens"][0], shown["tokens"][0]):
        assert re.fullmatch("[0-9a-f]{64}", stanza.pop("sha256"))
        del stanza["expires"]
    assert made == shown


def test_the_audit_line_that_is_shown_has_the_fields_of_the_table() -> None:
    line = re.search(r"```json\n(.*?)```", SECURITY, re.DOTALL)
    assert line is not None
    section = SECURITY.partition("## The audit log")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    assert set(json.loads(line[1])) == {"event", *re.findall(r"`(\w+)`", " ".join(rows))}
