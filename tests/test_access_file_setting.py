"""An access file that is named by an empty text: nobody who wanted one is left without it unawares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.cli import main
from tests.support.access import access_file, token_stanza
from tests.support.server import Server

pytestmark = pytest.mark.usefixtures("no_variables")

VARIABLE = "ARTIFACT_PROXY_ACCESS_FILE"
EMPTY_FLAG = "--access-file='' cannot be used: it is empty; name a file, or leave the flag out."


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., str]:
    """What the command says when it refuses to start; it has made nothing then."""

    def message(*arguments: str) -> str:
        root = tmp_path / "root"
        assert main(["--port", "0", "--default-artifact-root", str(root), *arguments]) == 2
        written = capsys.readouterr()
        assert written.out == ""
        assert not root.exists()
        return written.err

    return message


@pytest.mark.parametrize("arguments", [("--access-file=",), ("--access-file", "")])
def test_an_empty_flag_is_refused(refused: Callable[..., str], arguments: tuple[str, ...]) -> None:
    """It is what becomes of a shell variable that is not set."""
    assert refused(*arguments) == f"artifact-proxy: {EMPTY_FLAG}\n"
    assert EMPTY_FLAG in refused(*arguments, "--insecure-no-auth", "--host", "127.0.0.1")


def test_an_empty_flag_is_refused_where_another_source_names_a_file(
    refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(access_file(tmp_path, token_stanza("ci", "all:")[1])))
    assert EMPTY_FLAG in refused("--access-file=")


def test_an_empty_variable_is_none(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    message = refused("--host", "192.0.2.1")
    assert "--host='192.0.2.1' cannot be used: everybody who reaches it could read and change all" in message


def test_an_empty_variable_leaves_the_word_to_the_configuration_file(
    serve: Callable[..., Server], client: httpx.Client, tmp_path: Path
) -> None:
    file = access_file(tmp_path, token_stanza("ci", "all:")[1])
    (tmp_path / "config.toml").write_text(f"access_file = {str(file)!r}\n")
    server = serve("--config", str(tmp_path / "config.toml"), **{VARIABLE: ""})
    assert client.get(f"{server.url}/version").status_code == 401


@pytest.mark.parametrize("source", ["the variable", "the configuration file"])
def test_without_a_name_everybody_on_this_machine_is_served(
    serve: Callable[..., Server], client: httpx.Client, tmp_path: Path, source: str
) -> None:
    (tmp_path / "config.toml").write_text('access_file = ""\n')
    in_file = source == "the configuration file"
    server = serve(*(("--config", str(tmp_path / "config.toml")) if in_file else ()), **{VARIABLE: ""})
    assert client.get(f"{server.url}/version").status_code == 200


def test_an_empty_name_in_the_configuration_file_lets_no_strangers_in(
    refused: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text('access_file = ""\n')
    message = refused("--config", str(tmp_path / "config.toml"), "--host", "192.0.2.1")
    assert "--host='192.0.2.1' cannot be used: everybody who reaches it" in message


def test_a_name_of_spaces_is_one(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, " ")
    assert f"{VARIABLE}=' ' cannot be used: it cannot be read (No such file or directory)" in refused()
