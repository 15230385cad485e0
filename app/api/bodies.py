"""Small JSON bodies, read with suspicion."""

from __future__ import annotations

import asyncio
import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from app.api.admission import Transfer
from app.api.pace import Pace, watched
from app.errors import InvalidRequest, RequestTooLarge, UnsupportedMediaType, UploadInterrupted

_QUICK_BYTES = 64 * 1024
_MAX_VALUES = 200_000
"""Several times what completes the largest multipart upload."""
_TEXT_FACTOR = 12
"""A byte may become a character of four bytes, which is there as text, as a value, and written again."""
_VALUES_FACTOR = 16
_VALUES_BYTES = 25 * 1024 * 1024
"""Objects of one key take so many times their bytes beside that, and the most that there may be so many."""

M = TypeVar("M", bound=BaseModel)


class JsonBodies:
    """Reads them; of large ones, each of which takes many times its bytes then, one is parsed at a time."""

    def __init__(self, pace: Pace) -> None:
        """`pace`: at which clients must send."""
        self._pace = pace
        self._parsing = asyncio.Lock()

    async def read(self, request: Request, model: type[M], limit: int, transfer: Transfer) -> M:
        """The body of at most `limit` bytes as `model`. `transfer` has room for the bytes alone.

        Raises `UnsupportedMediaType`, `RequestTooLarge`, `TransferTooSlow`, and `InvalidRequest` for
        everything that two parsers could understand differently.
        """
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise UnsupportedMediaType(
                f"The Content-Type {media_type!r} is not accepted here; send application/json."
            )
        body = await _read(request, limit, self._pace)
        if len(body) <= _QUICK_BYTES:
            return _parsed(body, model)
        async with self._parsing:
            transfer.holds(_parsing_bytes(len(body)))
            try:
                # It takes long, and others wait for the event loop.
                return await asyncio.to_thread(_parsed, body, model)
            finally:
                transfer.holds(len(body))


def body_bytes(request: Request, limit: int) -> int:
    """What a body of at most `limit` bytes takes until it is there."""
    return min(int(request.headers.get("content-length", limit)), limit)


def _parsing_bytes(size: int) -> int:
    """What parsing `size` bytes may take, in the worst case."""
    return _TEXT_FACTOR * size + min(_VALUES_FACTOR * size, _VALUES_BYTES)


def _parsed(body: bytearray, model: type[M]) -> M:
    # Each value takes many times more memory than its bytes here, before the model can refuse it.
    if sum(map(body.count, b",[{")) > _MAX_VALUES:
        raise InvalidRequest("The JSON body has more values than any request needs.")
    try:
        value = json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()  # fails where an escape is half a character
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise InvalidRequest(f"The JSON body is not as it should be: {where}: {first['msg']}.") from None
    except RecursionError:
        raise InvalidRequest("The JSON body is nested too deep.") from None
    except ValueError as error:
        raise InvalidRequest(f"The body is not valid JSON in UTF-8: {error}.") from None


async def _read(request: Request, limit: int, pace: Pace) -> bytearray:
    body = bytearray()
    try:
        _require_size(int(request.headers.get("content-length", 0)), limit)
        async with watched(pace) as watch:
            watch.waits()
            async for piece in request.stream():
                watch.moved(len(piece))
                body += piece
                _require_size(len(body), limit)
                watch.waits()
    except ClientDisconnect:
        raise UploadInterrupted("The client broke off before the whole body had arrived.") from None
    return body


def _require_size(size: int, limit: int) -> None:
    if size > limit:
        raise RequestTooLarge(f"The JSON body is larger than {limit} bytes; send a smaller one.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is there twice")
    return result


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
