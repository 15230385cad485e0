"""What is judged of every upload."""

from __future__ import annotations

from starlette.datastructures import Headers

from app.errors import ExpectationFailed, InvalidRequest, RequestTooLarge, UnsupportedMediaType


def require_size(size: int, limit: int) -> None:
    """Raises `RequestTooLarge` for an artifact of more than `limit` bytes; 0 for no limit."""
    if limit and size > limit:
        raise RequestTooLarge(f"The artifact is larger than the {limit} bytes that this server takes.")


def require_plain_body(headers: Headers) -> None:
    """Refuses what would make the body something else than the artifact's bytes."""
    expectation = _joined(headers, "expect")
    if expectation not in {"", "100-continue"}:
        raise ExpectationFailed(f"The expectation {expectation!r} is not known; send 100-continue or none.")
    encoding = _joined(headers, "content-encoding")
    if encoding not in {"", "identity"}:
        raise UnsupportedMediaType(
            f"Content-Encoding {encoding!r} is not accepted: artifacts are stored as they are. "
            "Send the compressed file under its own name, without this header."
        )
    if "content-range" in headers:
        raise InvalidRequest(
            "A part of an artifact cannot be replaced; send all of it, without Content-Range."
        )


def _joined(headers: Headers, name: str) -> str:
    """All lines of a header as one list, in lower case."""
    return ", ".join(headers.getlist(name)).strip().lower()
