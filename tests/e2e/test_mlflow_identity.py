"""Unmodified MLflow clients with tokens: what they may do works, and what not is refused clearly and at once.

Clients repeat some statuses for minutes, so the requests are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.access import access_file, token_stanza
from tests.support.access_log import logged
from tests.support.mlflow_server import TrackingServer
from tests.support.server import Server, running

if TYPE_CHECKING:
    from mlflow import MlflowClient

CREDENTIALS = ("token", "password")


@pytest.fixture(scope="module")
def tokens() -> dict[str, tuple[str, str]]:
    """Of a team with all rights to its own place, and of a reader of everything."""
    return {"team": token_stanza("team", "all:{name}/"), "reader": token_stanza("reader", "read,list:")}


@pytest.fixture(scope="module")
def guarded(tokens: dict[str, tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("guarded")
    file = access_file(directory, *(stanza for _, stanza in tokens.values()))
    with running(directory / "root", "--access-file", str(file)) as started:
        yield started


class User:
    """Somebody at a machine of their own."""

    def __init__(self, server: Server, tracking: TrackingServer, environment: pytest.MonkeyPatch) -> None:
        self.client: MlflowClient = tracking.client()
        self._server = server
        self._environment = environment

    def show(self, token: str, kind: str) -> None:
        """From now on each request carries the token, as a token or as a password."""
        for name in ("TOKEN", "USERNAME", "PASSWORD"):
            self._environment.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
        if kind == "token":
            self._environment.setenv("MLFLOW_TRACKING_TOKEN", token)
        else:
            self._environment.setenv("MLFLOW_TRACKING_USERNAME", "anybody")
            self._environment.setenv("MLFLOW_TRACKING_PASSWORD", token)

    def new_run(self, place: str, name: str) -> Any:
        location = f"{self._server.mlflow}/artifacts/{place}/{name}"
        return self.client.create_run(self.client.create_experiment(f"{place}-{name}", location))


@pytest.fixture
def user(
    guarded: Server,
    local_tracking: TrackingServer,
    user_environment: None,
    monkeypatch: pytest.MonkeyPatch,
) -> User:
    return User(guarded, local_tracking, monkeypatch)


def asked(server: Server, part: str) -> list[tuple[str, int]]:
    return [(request.method, request.status) for request in logged(server, part)]


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_with_a_token_a_client_logs_lists_downloads_and_deletes_where_it_may(
    user: User, guarded: Server, tokens: dict[str, tuple[str, str]], kind: str, folder: str, tmp_path: Path
) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    user.show(tokens["team"][0], kind)
    run = user.new_run("team", folder)
    user.client.log_text(run.info.run_id, "content", "data/a.txt")
    assert [info.path for info in user.client.list_artifacts(run.info.run_id, "data")] == ["data/a.txt"]
    fetched = user.client.download_artifacts(run.info.run_id, "data", str(tmp_path))
    assert (Path(fetched) / "a.txt").read_text() == "content"
    get_artifact_repository(run.info.artifact_uri).delete_artifacts("data")
    assert user.client.list_artifacts(run.info.run_id) == []
    assert not [name for name in guarded.tree() if folder in name]
    assert {status // 100 for _, status in asked(guarded, run.info.run_id)} == {2}


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_what_a_token_does_not_allow_fails_at_once_and_says_so(
    user: User, guarded: Server, tokens: dict[str, tuple[str, str]], kind: str, folder: str, tmp_path: Path
) -> None:
    user.show(tokens["team"][0], kind)
    run_id = user.new_run("others", folder).info.run_id
    with pytest.raises(Exception, match=r"(?s)403.*You may not write"):
        user.client.log_text(run_id, "refused", "a.txt")
    assert asked(guarded, f"{run_id}/artifacts/a.txt") == [("PUT", 403)]
    with pytest.raises(Exception, match=r"(?s)403.*You may not list"):
        user.client.list_artifacts(run_id)
    assert asked(guarded, f"{run_id}%2Fartifacts") + asked(guarded, f"path=others/{folder}/{run_id}") == [
        ("GET", 403)
    ]
    assert not [name for name in guarded.tree() if run_id in name]


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_a_reader_sees_what_others_logged_and_changes_nothing(
    user: User, guarded: Server, tokens: dict[str, tuple[str, str]], kind: str, folder: str, tmp_path: Path
) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    user.show(tokens["team"][0], kind)
    run = user.new_run("team", folder)
    run_id = run.info.run_id
    user.client.log_text(run_id, "content", "a.txt")
    user.show(tokens["reader"][0], kind)
    fetched = user.client.download_artifacts(run_id, "a.txt", str(tmp_path))
    assert Path(fetched).read_text() == "content"
    with pytest.raises(Exception, match=r"(?s)403.*You may not write"):
        user.client.log_text(run_id, "refused", "b.txt")
    assert asked(guarded, f"{run_id}/artifacts/b.txt") == [("PUT", 403)]
    with pytest.raises(Exception, match=r"(?s)403.*You may not delete"):
        get_artifact_repository(run.info.artifact_uri).delete_artifacts("a.txt")
    asked_for = asked(guarded, f"{run_id}/artifacts/a.txt")
    assert [request for request in asked_for if request[0] == "DELETE"] == [("DELETE", 403)]
    assert [name for name in guarded.tree() if run_id in name] == [f"team/{folder}/{run_id}/artifacts/a.txt"]


@pytest.mark.parametrize(
    ("kind", "message"),
    [("token", "not known here"), ("password", "not known here"), ("none", "MLFLOW_TRACKING_TOKEN")],
)
def test_a_wrong_token_or_none_fails_at_once_and_says_so(
    user: User, guarded: Server, kind: str, message: str, folder: str
) -> None:
    if kind != "none":
        user.show("apx_wrong", kind)
    run_id = user.new_run("team", folder).info.run_id
    with pytest.raises(Exception, match=f"(?s)401.*{message}"):
        user.client.log_text(run_id, "refused", "a.txt")
    assert asked(guarded, f"{run_id}/artifacts/a.txt") == [("PUT", 401)]
