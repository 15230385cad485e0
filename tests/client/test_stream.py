"""Bytes of an artifact as they come, gone on with where a connection breaks."""

from __future__ import annotations

import os

import pytest

from artifact_proxy import ArtifactError, Client, Conflict
from tests.support.interposer import Interposer
from tests.support.interposer_actions import cut_body, forward, replace_body
from tests.support.interposer_exchange import Exchange, Request

CONTENT = os.urandom(1_500_000)
ENOUGH = 700_000
"""Of which some pieces have come when no more does."""


def is_get(request: Request) -> bool:
    return request.method == "GET"


@pytest.fixture
def path(remote: Client, folder: str) -> str:
    remote.put_bytes(CONTENT, f"{folder}/a.bin")
    return f"{folder}/a.bin"


def test_it_is_gone_on_with_where_it_breaks(front: Interposer, through: Client, path: str) -> None:
    front.on(is_get, cut_body(ENOUGH))
    assert through.read(path) == CONTENT
    assert len(front.requests()) == 2


def test_it_ends_where_its_version_goes_away(
    front: Interposer, through: Client, remote: Client, path: str
) -> None:
    def replaced(exchange: Exchange) -> None:
        remote.put_bytes(b"new", path)
        forward(exchange)

    front.on(is_get, cut_body(ENOUGH))
    front.on(is_get, replaced)
    with pytest.raises(Conflict):
        through.read(path)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": "bytes 0-9/10", "ETag": '"x"'},
        {"Content-Range": "nonsense", "ETag": '"x"'},
    ],
)
def test_it_is_not_put_together_of_what_was_not_asked_for(
    front: Interposer, through: Client, path: str, headers: dict[str, str]
) -> None:
    front.on(is_get, cut_body(ENOUGH))
    front.on(is_get, replace_body(206, b"0123456789", headers))
    with pytest.raises(ArtifactError, match="not the range that was asked for"):
        through.read(path)


def test_it_needs_a_version_to_be_gone_on_with(front: Interposer, through: Client, path: str) -> None:
    def without_etag(exchange: Exchange) -> None:
        exchange.send_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")

    front.on(is_get, without_etag)
    with pytest.raises(ArtifactError, match="no ETag"):
        through.read(path)
