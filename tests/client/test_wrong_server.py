"""A server that is no artifact-proxy, or a URL that is not that of one: said, and nothing is taken for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from artifact_proxy import ArtifactNotFound, Client, ConfigurationError
from tests.client.answering import Answer, answering
from tests.support.client_command import DONE, Run
from tests.support.server import Server

LOGIN = Answer(b"<html>Please sign in</html>", headers={"Content-Type": "text/html"})
NO_ROUTE = Answer(b"<html>Not Found</html>", 404)
COMMANDS = [
    ["put", "a", "x/a"],
    ["put", "a", "b", "x/"],
    ["get", "x/a"],
    ["get", "-r", "x"],
    ["get", "x/a*", "here"],
    ["cat", "x/a"],
    ["ls", "x"],
    ["stat", "x/a"],
    ["stat", "--digest", "x/a"],
    ["rm", "x/a"],
    ["rm", "-f", "x/a"],
    ["rm", "-rf", "x/a"],
]


@pytest.fixture(autouse=True)
def files(place: Path) -> None:
    (place / "a").write_bytes(b"a")
    (place / "b").write_bytes(b"b")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("page", [LOGIN, NO_ROUTE, Answer(status=405)], ids=["login", "404", "405"])
def test_a_page_of_somebody_else_is_no_answer(run: Run, place: Path, page: Answer, words: list[str]) -> None:
    with answering(page) as url:
        ended = run(*words, "--server", url)
    assert (ended.status, ended.out) == (2, "")
    assert f"{url} is not an artifact-proxy, or not all of its URL: " in ended.err
    assert sorted(file.name for file in place.rglob("*")) == ["a", "b"]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_url_below_that_of_the_server_is_not_it(run: Run, server: Server, words: list[str]) -> None:
    ended = run(*words, "--server", f"{server.url}/v1")
    assert ended.status == 2
    assert f"{server.url}/v1 is not an artifact-proxy, or not all of its URL: " in ended.err


@pytest.mark.parametrize(
    "path",
    ["/v1/artifacts", "/v1/artifacts/", "/v1/artifacts/d", "/api/2.0/mlflow-artifacts/artifacts"],
)
def test_the_url_of_artifacts_is_not_that_of_the_server(
    run: Run, server: Server, remote: Client, folder: str, path: str
) -> None:
    ended = run("put", "a", f"{folder}/a", "--server", server.url + path)
    assert (ended.status, ended.out) == (2, "")
    assert f"{server.url + path.rstrip('/')!r} is the URL of artifacts" in ended.err.replace("/'", "'")
    assert f"that of their server is {server.url!r}" in ended.err
    assert not (server.root / "v1").exists()
    assert list(remote.list(folder)) == []


def test_a_page_that_is_not_there_to_every_question_is_no_missing_artifact(run: Run) -> None:
    with answering(lambda method, _: NO_ROUTE if method == "HEAD" else LOGIN) as url:
        assert run("rm", "-f", "a", "--server", url).status == 2


def test_blanks_around_the_url_mean_nothing(
    run: Run, server: Server, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("put", "a", f"{folder}/a", "--server", f" {server.url}/ ") == DONE
    monkeypatch.setenv("ARTIFACT_PROXY_SERVER", f"{server.url}\n")
    assert run("ls", folder).out == "a\n"


def test_what_is_missing_at_the_right_server_is_not_found(remote: Client, folder: str) -> None:
    asking: list[Callable[[str], object]] = [
        remote.stat, remote.read, remote.get, remote.open, remote.digest, remote.remove,
    ]  # fmt: skip
    for ask in asking:
        with pytest.raises(ArtifactNotFound) as caught:
            ask(f"{folder}/none")
        assert (caught.value.status, caught.value.code) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_store_that_has_lost_what_the_server_sends_to_is_no_wrong_server() -> None:
    with (
        answering(Answer(b"<Error><Code>NoSuchKey</Code></Error>", 404)) as store,
        answering(Answer(status=307, headers={"Location": f"{store}/key"})) as url,
        Client(url) as client,
        pytest.raises(ArtifactNotFound),
    ):
        client.read("a")


def test_a_tracking_server_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for page in (LOGIN, NO_ROUTE):
        with answering(page) as url, Client("http://127.0.0.1:1") as client:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
            with pytest.raises(ConfigurationError, match=f"{url} is not a tracking server of MLflow"):
                client.stat("runs:/1/a")
