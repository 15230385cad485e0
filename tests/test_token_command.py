"""`artifact-proxy token new`: the token is shown once, its hash is kept, and nothing is ever overwritten."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.cli import main
from app.identity.access_file import load

TOKEN = re.compile(r"apx_[A-Za-z0-9_-]{43}")
ALLOW = ("--allow", "all:")

New = Callable[..., tuple[str, str]]


@pytest.fixture
def new(capsys: pytest.CaptureFixture[str]) -> New:
    """What the command prints and says beside that, if it succeeds."""

    def made(*arguments: str | Path) -> tuple[str, str]:
        assert main(["token", "new", *map(str, arguments)]) == 0
        return capsys.readouterr()

    return made


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What it says if it refuses; nothing is printed then."""

    def message(*arguments: str | Path) -> str:
        try:
            status = main(["token", *map(str, arguments)])
        except SystemExit as ended:  # of the parser
            status = int(str(ended.code))
        assert status == 2
        written = capsys.readouterr()
        assert written.out == ""
        return written.err

    return message


def tokens(text: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = tomllib.loads(text)["tokens"]
    return listed


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class TestPrinted:
    def test_the_token_and_the_stanza_to_paste(self, new: New) -> None:
        out, err = new("ci", "--allow", "read,list:", "--allow", "write:runs/", "--deny", "delete:releases/")
        token, remark, stanza = out.partition("\n\nFor the access file:\n\n")
        assert TOKEN.fullmatch(token)
        assert remark
        assert tokens(stanza) == [
            {
                "name": "ci",
                "sha256": digest(token),
                "allow": ["read,list:", "write:runs/"],
                "deny": ["delete:releases/"],
            }
        ]
        assert token not in stanza
        assert err == ""

    def test_each_is_another(self, new: New) -> None:
        assert len({new("ci", *ALLOW)[0] for _ in range(10)}) == 10

    def test_it_may_expire(self, new: New) -> None:
        before = datetime.now(UTC).replace(microsecond=0)
        out, _ = new("ci", *ALLOW, "--expires-in", "30")
        [token] = tokens(out.partition("file:\n\n")[2])
        assert before <= token["expires"] - timedelta(days=30) <= datetime.now(UTC)

    def test_one_that_may_do_nothing_is_remarked_upon(self, new: New) -> None:
        out, err = new("ci")
        assert TOKEN.match(out)
        assert err == "'ci' may do nothing yet: give it an --allow.\n"

    def test_grants_may_be_about_any_path(self, new: New) -> None:
        grant = 'all:Über "uns"/{name}/x'
        [token] = tokens(new("ci", "--allow", grant)[0].partition("file:\n\n")[2])
        assert token["allow"] == [grant]


class TestAccessFile:
    def test_a_missing_one_is_made_for_its_owner_alone(self, new: New, tmp_path: Path) -> None:
        file = tmp_path / "access.toml"
        out, _ = new("ci", *ALLOW, "--access-file", file)
        assert TOKEN.fullmatch(out.removesuffix("\n"))
        assert mode(file) == 0o600
        assert [token["sha256"] for token in tokens(file.read_text())] == [digest(out.strip())]
        assert os.listdir(tmp_path) == ["access.toml"]
        load(file)

    def test_one_that_is_there_is_added_to_and_stays_as_it_was(self, new: New, tmp_path: Path) -> None:
        file = tmp_path / "access.toml"
        new("first", *ALLOW, "--access-file", file)
        file.write_text("# ours: häuslich\n" + file.read_text() + "\n[everybody]\ndeny = ['delete:a']\n\n\n")
        before = file.read_text()
        file.chmod(0o640)
        new("second", *ALLOW, "--access-file", file)
        after = file.read_text()
        assert after.startswith(before.rstrip())
        assert [token["name"] for token in tokens(after)] == ["first", "second"]
        assert mode(file) == 0o640

    def test_it_keeps_its_owner(self, new: New, tmp_path: Path, need_root: None) -> None:
        file = tmp_path / "access.toml"
        new("first", *ALLOW, "--access-file", file)
        os.chown(file, 12345, 23456)
        new("second", *ALLOW, "--access-file", file)
        assert (file.stat().st_uid, file.stat().st_gid) == (12345, 23456)

    def test_a_name_that_is_there_is_refused(
        self, new: New, refused: Callable[..., str], tmp_path: Path
    ) -> None:
        file = tmp_path / "access.toml"
        new("ci", *ALLOW, "--access-file", file)
        before = file.read_bytes()
        message = refused("new", "ci", "--access-file", file, "--token-file", tmp_path / "token")
        assert message.startswith(f"artifact-proxy: The access file {str(file)!r} cannot be used with this")
        assert "the name of a token is there twice: ci" in message
        assert message.count("\n") == 1
        assert file.read_bytes() == before
        assert os.listdir(tmp_path) == ["access.toml"]

    @pytest.mark.parametrize("content", ["no toml", "[unknown]\n", "\xff"])
    def test_one_that_makes_no_sense_stays_as_it_is(
        self, refused: Callable[..., str], tmp_path: Path, content: str
    ) -> None:
        file = tmp_path / "access.toml"
        file.write_bytes(content.encode("latin-1"))
        assert str(file) in refused("new", "ci", *ALLOW, "--access-file", file)
        assert file.read_bytes() == content.encode("latin-1")

    @pytest.mark.parametrize("place", ["missing/access.toml", "."])
    def test_one_that_cannot_be_written_is_named(
        self, refused: Callable[..., str], tmp_path: Path, place: str
    ) -> None:
        message = refused("new", "ci", *ALLOW, "--access-file", tmp_path / place)
        assert str(tmp_path / place) in message
        assert message.count("\n") == 1


class TestLinks:
    """What a link leads to is the access file, and the link stays one."""

    @pytest.fixture
    def link(self, tmp_path: Path) -> Path:
        (tmp_path / "mounted").mkdir()
        (tmp_path / "own").mkdir()
        link = tmp_path / "own" / "access.toml"
        link.symlink_to("../mounted/real.toml")
        return link

    def test_the_file_behind_it_is_added_to(self, new: New, tmp_path: Path, link: Path) -> None:
        real = tmp_path / "mounted" / "real.toml"
        new("first", *ALLOW, "--access-file", real)
        real.chmod(0o640)
        new("second", *ALLOW, "--access-file", link)
        assert os.readlink(link) == "../mounted/real.toml"
        assert [token["name"] for token in tokens(real.read_text())] == ["first", "second"]
        assert mode(real) == 0o640
        assert (os.listdir(tmp_path / "mounted"), os.listdir(tmp_path / "own")) == (
            ["real.toml"],
            ["access.toml"],
        )

    def test_a_missing_file_behind_it_is_made(self, new: New, tmp_path: Path, link: Path) -> None:
        real = tmp_path / "mounted" / "real.toml"
        new("ci", *ALLOW, "--access-file", link)
        assert os.readlink(link) == "../mounted/real.toml"
        assert not real.is_symlink()
        assert mode(real) == 0o600
        assert [token["name"] for token in tokens(real.read_text())] == ["ci"]

    def test_a_link_in_circles_is_no_file(self, refused: Callable[..., str], tmp_path: Path) -> None:
        (tmp_path / "access.toml").symlink_to("access.toml")
        message = refused("new", "ci", *ALLOW, "--access-file", tmp_path / "access.toml")
        assert str(tmp_path / "access.toml") in message
        assert message.count("\n") == 1
        assert os.listdir(tmp_path) == ["access.toml"]


class TestTokenFile:
    def test_it_has_the_token_for_its_owner_alone(self, new: New, tmp_path: Path) -> None:
        access, file = tmp_path / "access.toml", tmp_path / "token"
        out, _ = new("ci", *ALLOW, "--access-file", access, "--token-file", file)
        assert out == ""
        assert mode(file) == 0o600
        token = file.read_text().removesuffix("\n")
        assert TOKEN.fullmatch(token)
        assert digest(token) in access.read_text()

    def test_without_an_access_file_the_stanza_alone_is_printed(self, new: New, tmp_path: Path) -> None:
        out, _ = new("ci", *ALLOW, "--token-file", tmp_path / "token")
        [token] = tokens(out)
        assert token["sha256"] == digest((tmp_path / "token").read_text().strip())
        assert not TOKEN.search(out)

    def test_one_that_is_there_is_never_overwritten(
        self, refused: Callable[..., str], tmp_path: Path
    ) -> None:
        file, access = tmp_path / "token", tmp_path / "access.toml"
        file.write_text("mine")
        message = refused("new", "ci", *ALLOW, "--token-file", file, "--access-file", access)
        assert message.startswith(f"artifact-proxy: The token file {str(file)!r} cannot be made")
        assert message.endswith("name a new one.\n")
        assert file.read_text() == "mine"
        assert not access.exists()

    def test_nor_is_what_a_link_leads_to(self, refused: Callable[..., str], tmp_path: Path) -> None:
        elsewhere, link = tmp_path / "elsewhere", tmp_path / "link"
        link.symlink_to(elsewhere)
        assert "name a new one" in refused("new", "ci", *ALLOW, "--token-file", link)
        assert not elsewhere.exists()
        elsewhere.write_text("mine")
        assert "name a new one" in refused("new", "ci", *ALLOW, "--token-file", link)
        assert elsewhere.read_text() == "mine"
        assert os.readlink(link) == str(elsewhere)


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["ci", "--allow", "models/"], "has no colon"),
            (["ci", "--allow", "fly:models/"], "known are read, list, write, delete, and all"),
            (["ci", "--allow", "read:../x"], "has a path that no artifact may have"),
            (["ci", "--deny", "read:{"], "brace"),
            (["ci", "--allow", "read:{team}/"], "{team}"),
            (["", *ALLOW], "a name has"),
            (["a b", *ALLOW], "a name has"),
            (["-x", *ALLOW], "NAME"),
            (["a" * 101, *ALLOW], "a name has"),
            (['a"\nb', *ALLOW], "a name has"),
            (["ci", "--expires-in", "0"], "--expires-in=0 is no number of days"),
            (["ci", "--expires-in", "-1"], "--expires-in=-1 is no number of days"),
            (["ci", "--expires-in", "36501"], "is no number of days"),
            (["ci", "--expires-in", "soon"], "soon"),
            (["ci", "--unknown"], "--unknown"),
            ([], "NAME"),
        ],
    )
    def test_they_are_told_and_make_nothing(
        self, refused: Callable[..., str], tmp_path: Path, arguments: list[str], reason: str
    ) -> None:
        access, token = tmp_path / "access.toml", tmp_path / "token"
        assert reason in refused("new", *arguments, "--access-file", access, "--token-file", token)
        assert os.listdir(tmp_path) == []

    def test_without_what_to_do_nothing_is_done(self, refused: Callable[..., str]) -> None:
        assert "new" in refused()
        assert "old" in refused("old")
