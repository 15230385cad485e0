"""P11: an answer of success whose body is an error is an error; nothing appears, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.errors import StorageMisbehaved
from tests.support.artifacts import put
from tests.support.front_requests import LARGE, REQUESTS, assert_unharmed, prepare
from tests.support.interposer_actions import Action, answer, raw, replace_body
from tests.support.interposer_exchange import Exchange
from tests.support.object_store import ObjectStore
from tests.support.s3_chain import PREFIX, Chain, chained
from tests.support.s3_front import Front

INTERNAL_ERROR = b"<Error><Code>InternalError</Code><Message>Try again.</Message></Error>"
BODIES = {what: asked for what, asked in REQUESTS.items() if what != "examine"}
"""The requests whose answers have a body."""


@pytest.fixture
def chain(object_store: ObjectStore, bucket: str) -> Iterator[Chain]:
    with chained(object_store, bucket) as opened:
        yield opened


@pytest.mark.parametrize("what", BODIES)
def test_p11_a_success_whose_body_is_an_error_is_an_error_whatever_was_asked(
    front: Front, folder: str, what: str
) -> None:
    operation, ask = BODIES[what]
    prepare(front.client, front.url(folder))
    rule = front.interposer.on(operation, answer(200, "InternalError"), times=None)
    told = ask(front.client, front.url(folder))
    assert rule.used
    assert (told.status_code, told.json()["error_code"]) == (502, "TEMPORARILY_UNAVAILABLE")
    front.interposer.forget_rules()
    assert_unharmed(front, folder)


@pytest.mark.parametrize(("code", "status"), [("AccessDenied", 403), ("InternalError", 502)])
def test_p11_a_deletion_that_spares_some_is_an_error(
    front: Front, folder: str, code: str, status: int
) -> None:
    prepare(front.client, front.url(folder))

    def spare(exchange: Exchange) -> None:
        exchange.drain()
        spared = f"<Error><Key>{PREFIX}{folder}/d/x</Key><Code>{code}</Code></Error>"
        body = f"<DeleteResult>{spared}</DeleteResult>".encode()
        exchange.send(200, body, {"Content-Type": "application/xml"})

    front.interposer.on("DeleteObjects", spare)
    assert front.client.delete(front.url(f"{folder}/d")).status_code == status
    assert_unharmed(front, folder)
    assert front.client.delete(front.url(f"{folder}/d")).status_code == 204
    assert front.get(f"{folder}/d/x").status_code == 404


@pytest.mark.parametrize(
    "garbage",
    [
        raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: 5\r\n\r\n<<<<<"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        replace_body(200, b"<ListBucketResult><Contents></Contents></ListBucketResult>"),
    ],
    ids=["a page", "no XML", "nothing", "no listing"],
)
def test_p11_a_listing_that_makes_no_sense_is_an_error_and_not_an_empty_directory(
    front: Front, folder: str, garbage: Action
) -> None:
    prepare(front.client, front.url(folder))
    for ask in (front.client.get, front.client.delete):
        rule = front.interposer.on("ListObjectsV2", garbage, times=None)
        told = ask(front.url(f"{folder}/"))
        assert rule.used
        assert (told.status_code, told.json()["error_code"]) == (502, "TEMPORARILY_UNAVAILABLE")
        front.interposer.forget_rules()
    assert_unharmed(front, folder)


def test_p11_a_completion_whose_answer_is_an_error_is_tried_again(
    object_store: ObjectStore, bucket: str
) -> None:
    with chained(object_store, bucket, attempts=2) as chain:
        chain.interposer.on("CompleteMultipartUpload", answer(200, "InternalError"))
        put(chain.storage, "a", LARGE)
        assert len(chain.interposer.requests("CompleteMultipartUpload")) == 2
        assert chain.artifacts() == {"a": LARGE}
        assert chain.leftovers() == []


def test_p11_a_completion_whose_answer_stays_an_error_leaves_the_old_artifact(chain: Chain) -> None:
    put(chain.storage, "a", b"old")
    chain.interposer.on("CompleteMultipartUpload", answer(200, "InternalError"), times=None)
    with pytest.raises(StorageMisbehaved):
        put(chain.storage, "a", LARGE)
    assert chain.artifacts() == {"a": b"old"}
    assert chain.leftovers() == []


def test_p11_a_completion_whose_answer_is_an_error_is_a_success_if_the_artifact_is_there(
    chain: Chain,
) -> None:
    chain.interposer.on("CompleteMultipartUpload", replace_body(200, INTERNAL_ERROR))
    put(chain.storage, "a", LARGE)
    assert chain.artifacts() == {"a": LARGE}
    assert chain.leftovers() == []
