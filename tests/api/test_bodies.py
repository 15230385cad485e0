"""Small JSON bodies, read with suspicion."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.requests import Request

from app.api.bodies import JsonBodies
from app.api.schemas import MultipartComplete, MultipartCreate
from app.errors import InvalidRequest, RequestTooLarge, UnsupportedMediaType, UploadInterrupted
from tests.support.unlimited import UNHURRIED, boundless

JSON = "application/json"
LIMIT = 1024 * 1024


class Part(BaseModel):
    path: str
    number: int = 0


class Sender:
    """A client that sends a body piece by piece, and then is done or gone."""

    def __init__(self, pieces: Sequence[bytes], *, breaks_off: bool = False) -> None:
        self._pieces = list(pieces)
        self._breaks_off = breaks_off
        self.taken = 0

    async def receive(self) -> dict[str, object]:
        if not self._pieces and self._breaks_off:
            return {"type": "http.disconnect"}
        self.taken += 1
        piece = self._pieces.pop(0) if self._pieces else b""
        more = bool(self._pieces) or self._breaks_off
        return {"type": "http.request", "body": piece, "more_body": more}

    def request(self, content_type: str | None = JSON) -> Request:
        headers = [] if content_type is None else [(b"content-type", content_type.encode("latin-1"))]
        return Request({"type": "http", "method": "POST", "headers": headers}, self.receive)


M = TypeVar("M", bound=BaseModel)


def understood(sender: Sender, model: type[M], content_type: str | None = JSON) -> M:
    return asyncio.run(JsonBodies(UNHURRIED).read(sender.request(content_type), model, LIMIT, boundless()))


def read(*pieces: bytes, content_type: str | None = JSON) -> Part:
    return understood(Sender(pieces), Part, content_type)


def test_a_body_in_pieces_is_one_body() -> None:
    assert read(b'{"pa', b'th": "\xc3', b"", b'\xa9", "number": 3}') == Part(path="é", number=3)


def test_unknown_keys_are_ignored() -> None:
    assert read(b'{"path": "a", "later": [{}]}') == Part(path="a")


def test_space_around_the_value_is_no_matter() -> None:
    assert read(b' \r\n\t{"path": "a"}\n') == Part(path="a")


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "Application/JSON", " application/json ;x"],
)
def test_json_is_accepted_with_any_parameters(content_type: str) -> None:
    assert read(b'{"path": "a"}', content_type=content_type) == Part(path="a")


@pytest.mark.parametrize(
    "content_type",
    [
        *("", "text/plain", "text/json", "application/jsonx", "application/json/x", "json", "*/*", "\xff"),
        *("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/octet-stream"),
        *("application/problem+json", "text/plain; application/json", "application/json, text/plain", None),
    ],
)
def test_another_content_type_is_refused_before_the_body(content_type: str | None) -> None:
    sender = Sender([b'{"path": "a"}'])
    with pytest.raises(UnsupportedMediaType, match="application/json"):
        understood(sender, Part, content_type)
    assert sender.taken == 0


MALFORMED = {
    "empty": b"",
    "only space": b" \n",
    "cut off": b'{"path": "a"',
    "more behind": b'{"path": "a"} {}',
    "a trailing comma": b'{"path": "a",}',
    "single quotes": b"{'path': 'a'}",
    "a comment": b'{"path": "a"} // comment',
    "a raw control character": b'{"path": "a\nb"}',
    "a byte order mark": b'\xef\xbb\xbf{"path": "a"}',
    "UTF-16": '{"path": "a"}'.encode("utf-16"),
    "UTF-16 without a mark": '{"path": "a"}'.encode("utf-16-le"),
    "a byte that is not UTF-8": b'{"path": "a\xff"}',
    "overlong UTF-8": b'{"path": "a\xc0\xae"}',
    "an encoded surrogate": b'{"path": "a\xed\xa0\x80"}',
    "NaN": b'{"path": "a", "number": NaN}',
    "Infinity": b'{"path": "a", "other": Infinity}',
    "-Infinity": b'{"path": "a", "other": [-Infinity]}',
    "a key twice": b'{"path": "a", "path": "b"}',
    "a key twice, once escaped": b'{"path": "a", "p\\u0061th": "a"}',
    "a key twice below": b'{"path": "a", "other": [{"x": 1, "x": 1}]}',
    "100 000 lists": b'{"path": "a", "other": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100 000 lists, open": b"[" * 100_000,
    "100 000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a number of a million digits": b'{"path": "a", "number": ' + b"9" * 1_000_000 + b"}",
    "a number of a million digits, ignored": b'{"path": "a", "other": -' + b"9" * 1_000_000 + b"}",
    "a leading zero": b'{"path": "a", "number": 01}',
}
UNFIT = {
    "null": b"null",
    "a list": b'[{"path": "a"}]',
    "a string": b'"{}"',
    "a number": b"1",
    "a missing key": b"{}",
    "null for text": b'{"path": null}',
    "a number for text": b'{"path": 1}',
    "a list for text": b'{"path": ["a"]}',
    "a lone surrogate": b'{"path": "\\ud800"}',
    "text for a number": b'{"path": "a", "number": "x"}',
    "a fraction for a whole number": b'{"path": "a", "number": 1.5}',
    "an endless number": b'{"path": "a", "number": 1e999}',
}


@pytest.mark.parametrize("body", [*MALFORMED.values(), *UNFIT.values()], ids=[*MALFORMED, *UNFIT])
def test_what_is_not_plainly_such_a_value_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(body)
    assert type(caught.value) is InvalidRequest
    message = str(caught.value)
    assert "JSON" in message
    assert len(message) < 300
    message.encode()  # it goes out as UTF-8


def test_the_message_names_the_member_that_is_wrong() -> None:
    body = {
        "path": "a",
        "upload_id": "u",
        "parts": [{"part_number": 1, "etag": "e"}, {"part_number": 0, "etag": "e"}],
    }
    with pytest.raises(InvalidRequest, match=r"parts\.1\.part_number"):
        understood(Sender([json.dumps(body).encode()]), MultipartComplete)


@pytest.mark.parametrize("number", [0, -1, 10_001, 10**30])
def test_a_part_number_has_bounds(number: int) -> None:
    body = json.dumps({"path": "a", "num_parts": number}).encode()
    with pytest.raises(InvalidRequest, match="num_parts"):
        understood(Sender([body]), MultipartCreate)


def padded(size: int) -> bytes:
    body = b'{"path": "a"}'
    return body + b" " * (size - len(body))


def test_as_much_as_is_allowed_is_read_and_not_a_byte_more() -> None:
    assert read(padded(LIMIT)) == Part(path="a")
    with pytest.raises(RequestTooLarge, match=str(LIMIT)):
        read(padded(LIMIT + 1))
    with pytest.raises(RequestTooLarge):
        read(padded(LIMIT), b" ")


def test_a_body_that_is_too_large_is_not_read_to_its_end() -> None:
    sender = Sender([b" " * (LIMIT // 10)] * 1000)
    with pytest.raises(RequestTooLarge):
        understood(sender, Part)
    assert sender.taken == 11


def test_a_client_that_breaks_off_is_told_apart_from_a_failure_of_ours() -> None:
    sender = Sender([b'{"path":'], breaks_off=True)
    with pytest.raises(UploadInterrupted):
        understood(sender, Part)


@given(st.binary(max_size=60) | st.text(st.sampled_from('{}[]",:\\ 01.e-+ntfpath')).map(str.encode))
def test_any_body_is_understood_or_refused(body: bytes) -> None:
    for piece in (body, b'{"path": ' + body + b"}"):
        try:
            understood = read(piece)
        except InvalidRequest:
            continue
        assert understood == Part.model_validate_json(piece)
