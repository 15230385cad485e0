"""Conditional requests and ranges (RFC 9110, sections 13 and 14): parsing and deciding, no I/O."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache

from starlette.datastructures import Headers

from app.errors import InvalidRequest
from app.storage.entry import Entry, ETags, Precondition, matches, modified_since
from app.storage.ranges import ByteRange

_ETAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
# Lists may have empty members (section 5.6.1.2). Possessive, so that a hostile one takes linear time.
_ETAGS = re.compile(rf"[ \t]*+(\*|([ \t,]*+{_ETAG.pattern}[ \t]*+(?=,|$))+[ \t,]*+)[ \t]*+")
_CONDITIONAL = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range")
# As nginx reads it: it has no spaces there, and refuses what is larger than a file can be.
_RANGE_OF_NGINX = re.compile(r"bytes=\d{0,18}-\d{0,18}", re.IGNORECASE)
_RANGE = re.compile(r"bytes[ \t]*=[ \t]*(\d{0,50})-(\d{0,50})[ \t]*", re.IGNORECASE)


def write_precondition(headers: Headers) -> Precondition:
    """What a request demands of the current artifact before it may change it.

    Raises `InvalidRequest` for what cannot be read: to ignore it could overwrite what should stay.
    """
    for name in ("If-Match", "If-None-Match"):
        value = ", ".join(headers.getlist(name))
        if name in headers and not _ETAGS.fullmatch(value):
            raise InvalidRequest(f'{name} is {value!a}; give "*", or ETags in their double quotes.')
    return precondition(headers)


def precondition(headers: Headers) -> Precondition:
    """What a request demands of the current artifact.

    Members of a list that are no entity tags match nothing. If-Match compares strongly,
    If-None-Match weakly.
    """
    return Precondition(
        match=_etags(headers, "if-match", weak=False),
        none_match=_etags(headers, "if-none-match", weak=True),
        unmodified_since=_date(headers, "if-unmodified-since"),
    )


def is_not_modified(headers: Headers, entry: Entry) -> bool:
    """Whether the answer to this GET or HEAD is 304.

    Raises `PreconditionFailed` where it is 412; the order is that of RFC 9110, section 13.2.2.
    """
    demanded = precondition(headers)
    Precondition(demanded.match, None, demanded.unmodified_since).require(entry.path, entry)
    if demanded.none_match is not None:
        return matches(demanded.none_match, entry)
    since = _date(headers, "if-modified-since")
    return since is not None and entry.modified is not None and not modified_since(entry, since)


def is_plain(headers: Headers) -> bool:
    """Whether a GET asks for the whole artifact, whatever it is now."""
    return "range" not in headers and not _is_conditional(headers)


def is_plain_to_nginx(headers: Headers) -> bool:
    """Whether a GET asks for the artifact, or a range of it, as it is, in words that nginx reads as we do."""
    if _is_conditional(headers):
        return False
    if "range" not in headers:
        return True
    return wanted_range(headers) is not None and bool(_RANGE_OF_NGINX.fullmatch(headers["range"]))


def wanted_range(headers: Headers) -> ByteRange | None:
    """The one range that a GET asks for; None for the whole.

    Anything malformed, and more than one range, is ignored, which section 14.2 allows.
    """
    values = headers.getlist("range")
    match = _RANGE.fullmatch(values[0]) if len(values) == 1 else None
    if match is None or match[1] == match[2] == "":
        return None
    first, last = (int(digits) if digits else None for digits in match.groups())
    if first is not None and last is not None and last < first:
        return None
    return ByteRange(first, last)


def range_holds(headers: Headers, entry: Entry) -> bool:
    """Whether If-Range lets the range be served from this version of the artifact.

    A date never does: two versions may come within one second, and then parts of both would be
    put together (section 13.1.5 wants a strong validator).
    """
    values = headers.getlist("if-range")
    return not values or values == [entity_tag(entry)]


def entity_tag(entry: Entry) -> str:
    """The artifact's ETag as it stands in a header (section 8.8.3)."""
    return f'"{entry.etag}"'


@lru_cache(maxsize=4096)
def http_date(moment: datetime) -> str:
    """IMF-fixdate (section 5.6.7)."""
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def _is_conditional(headers: Headers) -> bool:
    return any(name in headers for name in _CONDITIONAL)


def _etags(headers: Headers, name: str, *, weak: bool) -> ETags | None:
    values = headers.getlist(name)
    if not values:
        return None
    joined = ", ".join(values)
    if joined.strip() == "*":
        return "*"
    return frozenset(tag for prefix, tag in _ETAG.findall(joined) if weak or not prefix)


def _date(headers: Headers, name: str) -> datetime | None:
    values = headers.getlist(name)
    if len(values) != 1:
        return None
    try:
        moment = parsedate_to_datetime(values[0])
    except (TypeError, ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
