"""The headers of a request, line by line."""

from __future__ import annotations

from starlette.datastructures import Headers


def headers(*lines: tuple[str, str]) -> Headers:
    return Headers(raw=[(name.lower().encode(), value.encode("latin-1")) for name, value in lines])
