"""Downloads in all their kinds, and what of their answers must be the same whichever way they come."""

from __future__ import annotations

import re

import httpx

CONTENT = bytes(range(256)) * 1000
"""What is asked for."""
CURRENT = '"current"'
"""In the place of its ETag."""

READS: list[tuple[dict[str, str], int]] = [
    ({}, 200),
    ({"Accept-Encoding": "gzip"}, 200),
    ({"Range": "bytes=0-4"}, 206),
    ({"Range": "bytes=-3"}, 206),
    ({"Range": "bytes=100000-"}, 206),
    ({"Range": "bytes=0-0,5-6"}, 200),
    ({"Range": "bytes=256000-"}, 416),
    ({"Range": "lines=1-2"}, 200),
    ({"Range": "bytes=0-4", "If-Range": CURRENT}, 206),
    ({"Range": "bytes=0-4", "If-Range": '"other"'}, 200),
    ({"If-None-Match": CURRENT}, 304),
    ({"If-None-Match": f'"other", W/{CURRENT}'}, 304),
    ({"If-None-Match": '"other"'}, 200),
    ({"If-Match": CURRENT}, 200),
    ({"If-Match": '"other"'}, 412),
    ({"If-Match": CURRENT, "Range": "bytes=1-2"}, 206),
    ({"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 304),
    ({"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200),
    ({"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 412),
]
"""Headers, and the status that they lead to."""

Seen = tuple[int, list[tuple[str, str]], bytes]


def current(headers: dict[str, str], etag: str) -> dict[str, str]:
    """The headers with the ETag that the artifact has."""
    return {name: value.replace(CURRENT, etag) for name, value in headers.items()}


_REQUEST_ID = re.compile(rb',"request_id":"[0-9a-f]{32}"')


def seen(answer: httpx.Response) -> Seen:
    """All of an answer but the headers that tell which way it came, and when."""
    own = {"date", "server", "connection", "keep-alive", "x-request-id"}
    headers = sorted((name, value) for name, value in answer.headers.multi_items() if name not in own)
    return answer.status_code, headers, _REQUEST_ID.sub(b"", answer.content)
