"""Transfers past the server take the same permissions, and their refusals tell as little."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.support.access import access_file, bearer, token_stanza
from tests.support.guarded import DENIED, SAME, told
from tests.support.presigning import Place
from tests.support.server import Server


@pytest.fixture(scope="module")
def tokens() -> dict[str, tuple[str, str]]:
    return {"alice": token_stanza("alice", "all:users/{name}/"), "admin": token_stanza("admin", "all:")}


@pytest.fixture(scope="module")
def direct(
    start: Callable[..., Any], tokens: dict[str, tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    file = access_file(tmp_path_factory.mktemp("direct"), *(stanza for _, stanza in tokens.values()))
    with start("--presign", "--access-file", str(file)) as server:
        for name in ("users/bob/a", "users/alice/a"):
            url = f"{server.native}/{name}"
            httpx.put(url, content=b"x", headers=bearer(tokens["admin"][0])).raise_for_status()
        yield server


@pytest.fixture(scope="module")
def alice(tokens: dict[str, tuple[str, str]]) -> dict[str, str]:
    return bearer(tokens["alice"][0])


def test_urls_for_others_artifacts_do_not_tell_what_exists(
    direct: Server, client: httpx.Client, alice: dict[str, str]
) -> None:
    answered = set()
    for path in ("users/bob/a", "users/bob", "users/bob/none"):
        got = client.get(f"{direct.mlflow}/presigned/{path}", headers=alice | SAME)
        answered.add((got.status_code, got.text.replace(f"'{path}'", "...")))
    assert [status for status, _ in answered] == [403]
    assert client.get(f"{direct.mlflow}/presigned/users/alice/a", headers=alice).is_success


@pytest.mark.parametrize(
    ("step", "body"),
    [
        ("create", {"path": "a", "num_parts": 1}),
        ("complete", {"path": "a", "upload_id": "x", "parts": []}),
        ("abort", {"path": "a", "upload_id": "x"}),
    ],
)
def test_no_step_of_an_upload_is_taken_elsewhere(
    *, direct: Server, client: httpx.Client, alice: dict[str, str], place: Place, step: str, body: object
) -> None:
    answered = set()
    for directory in ("users/bob", "users/none", "users"):
        got = client.post(f"{direct.mlflow}/mpu/{step}/{directory}", json=body, headers=alice | SAME)
        assert told(got) == DENIED
        answered.add(got.text.replace(f"'{directory}/a'", "...").replace(f"'{directory}'", "..."))
    assert len(answered) == 1
    assert place.open_uploads("root/users") == []


def test_a_body_names_nothing_outside_of_the_directory(
    direct: Server, client: httpx.Client, alice: dict[str, str]
) -> None:
    tricked = {"path": "../bob/a", "num_parts": 1}
    begun = client.post(f"{direct.mlflow}/mpu/create/users/alice", json=tricked, headers=alice)
    assert "/users/alice/a?" in begun.json()["credentials"][0]["url"]
    abort = {"path": "a", "upload_id": begun.json()["upload_id"]}
    assert client.post(f"{direct.mlflow}/mpu/abort/users/alice", json=abort, headers=alice).is_success
