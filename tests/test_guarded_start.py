"""Where strangers could come in, the server starts only if it knows its callers, or is told not to care."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.cli import main
from tests.support.access import access_file, basic, bearer, token_stanza
from tests.support.server import Server

pytestmark = pytest.mark.usefixtures("no_variables")

EVERYWHERE = "0.0.0.0"  # noqa: S104 - it is what the server has to be careful with
Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Refused:
    """What the command says when it refuses to start; it has made nothing then."""

    def message(*arguments: str) -> str:
        root = tmp_path / "root"
        assert main(["--port", "0", "--default-artifact-root", str(root), *arguments]) == 2
        written = capsys.readouterr()
        assert written.out == ""
        assert written.err.startswith("artifact-proxy: ")
        assert written.err.count("\n") == 1
        assert not root.exists()
        return written.err

    return message


@pytest.mark.parametrize(
    "host", [EVERYWHERE, "::", "192.0.2.1", "ml.example.com", "127.0.0.1.example.com", f"::ffff:{EVERYWHERE}"]
)
def test_others_are_not_let_in_without_being_asked_who_they_are(refused: Refused, host: str) -> None:
    message = refused("--host", host)
    assert f"--host={host!r} cannot be used: " in message
    for remedy in ("--access-file", "--insecure-no-auth", "artifact-proxy token new NAME --allow all:"):
        assert remedy in message


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_this_machine_alone_is_no_risk(refused: Refused, host: str) -> None:
    # The root is judged after the host.
    assert "--default-artifact-root" in refused("--host", host, "--default-artifact-root", "http://x")


def test_with_an_access_file_nobody_says_that_none_is_needed(refused: Refused, tmp_path: Path) -> None:
    file = access_file(tmp_path, token_stanza("ci", "all:")[1])
    message = refused("--access-file", str(file), "--insecure-no-auth")
    assert "--insecure-no-auth=True cannot be used: there is an --access-file" in message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "it cannot be read (No such file or directory)"),
        (b"", "it knows nobody"),
        (b"no toml", "it is not TOML"),
        (b"\xff", "it is not in UTF-8"),
        (b"[other]\n", "other: "),
        (b'[[tokens]]\nname = "ci"\nsha256 = "apx_canary"\n', "tokens.1.sha256: "),
        (b'[[issuers]]\nname = "x"\nissuer = "http://x"\naudience = "a"\n', "issuers.1.issuer: "),
    ],
)
def test_an_access_file_that_cannot_be_used_stops_the_start(
    refused: Refused, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "access.toml"
    if content is not None:
        file.write_bytes(content)
    message = refused("--access-file", str(file))
    assert message.startswith(f"artifact-proxy: --access-file={str(file)!r} cannot be used: {reason}")
    assert "canary" not in message


def test_a_variable_is_named_as_the_cause(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARTIFACT_PROXY_ACCESS_FILE", str(tmp_path / "none.toml"))
    assert "ARTIFACT_PROXY_ACCESS_FILE=" in refused()


def test_whoever_says_so_may_serve_everybody(serve: Callable[..., Server], client: httpx.Client) -> None:
    server = serve("--host", EVERYWHERE, "--insecure-no-auth")
    assert client.put(f"{server.native}/a", content=b"x").status_code == 201


def test_a_token_that_the_command_makes_can_be_used_at_once(
    serve: Callable[..., Server],
    client: httpx.Client,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    file = tmp_path / "access.toml"
    assert main(["token", "new", "ci", "--allow", "all:users/{name}/", "--access-file", str(file)]) == 0
    token = capsys.readouterr().out.strip()
    server = serve("--host", EVERYWHERE, "--access-file", str(file))
    for headers in (bearer(token), basic(token, "ci")):
        assert client.put(f"{server.native}/users/ci/a", content=b"x", headers=headers).is_success
        assert client.put(f"{server.native}/users/other/a", content=b"x", headers=headers).status_code == 403
    assert client.get(f"{server.native}/users/ci/a").status_code == 401
    assert token not in server.log()
    assert token not in file.read_text()
