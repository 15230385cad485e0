"""Files in a multipart/form-data body (RFC 7578), as browsers and curl send them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser
from starlette.datastructures import Headers

from app.archives.formats import Event, MemberBegins, MemberData, MemberEnds
from app.errors import InvalidRequest, RequestTooLarge, UnsupportedMediaType

MAX_PARTS = 1_000
MAX_HEADERS = 16
MAX_HEADER_BYTES = 8 * 1024
"""Of all headers of one part."""
MAX_FIELD_BYTES = 64 * 1024
"""Of a field that is no file, and is of no use here."""
MAX_AROUND_BYTES = 64 * 1024
"""Blank lines before the first part, and whatever is behind the last one."""

_MEDIA_TYPE = "multipart/form-data"
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")  # RFC 2046, section 5.1.1
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - as RFC 9110 calls it
_PARAMETER = re.compile(
    rf'[ \t]*;[ \t]*({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*+)"|([^\s";]++))[ \t]*', re.DOTALL
)
_ESCAPED = {"%22": '"', "%0D": "\r", "%0A": "\n"}
_ESCAPE = re.compile("|".join(_ESCAPED), re.IGNORECASE)
_PLAIN_ENCODINGS = {"7bit", "8bit", "binary"}


def boundary_of(headers: Headers) -> bytes:
    """What is between the parts of the body. Raises `UnsupportedMediaType` for another kind of body."""
    given = headers.getlist("content-type")
    media_type, semicolon, rest = (given[0] if len(given) == 1 else "").partition(";")
    if media_type.strip().lower() != _MEDIA_TYPE:
        raise UnsupportedMediaType(
            f"The Content-Type {', '.join(given)[:100]!a} is not accepted here; send the files as "
            f"{_MEDIA_TYPE}, or one artifact by PUT to its own path."
        )
    boundary = _parameters(semicolon + rest, "The Content-Type").get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise InvalidRequest(f"The boundary {boundary[:100]!a} of the form is none; send 1 to 70 characters.")
    return boundary.encode("ascii")


class FormReader:
    """Takes a form apart. See `app.archives.base.ArchiveReader`, whose events it gives."""

    def __init__(self, boundary: bytes) -> None:
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._take_header_name,
                "on_header_value": self._take_header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin_content,
                "on_part_data": self._take_content,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
            max_header_count=MAX_HEADERS,
            max_header_size=MAX_HEADER_BYTES,
        )
        self._events: list[Event] = []
        self._data: list[bytes] = []
        """What has come of a file since the last event; a hostile one is cut into very many pieces."""
        self._parts = 0
        self._around = 0
        self._begun = False
        self._complete = False
        self._name = self._value = b""
        self._header_bytes = 0
        self._headers: dict[str, str] = {}
        self._filename: str | None = None
        """Of the part that has begun; None where it is no file, empty where no file was chosen."""
        self._field_bytes = 0

    def feed(self, data: bytes) -> Iterator[Event]:
        if self._complete:
            self._skip(len(data))
            return
        if not self._begun:
            # What else the parser skips before the first boundary depends on the pieces in which it comes.
            size, data = len(data), data.lstrip(b"\r\n")
            self._skip(size - len(data))
            self._begun = bool(data)
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise InvalidRequest(f"The form is malformed: {error}.") from None
        self._end_data()
        events, self._events = self._events, []
        yield from events

    def _skip(self, size: int) -> None:
        self._around += size
        if self._around > MAX_AROUND_BYTES:
            raise RequestTooLarge(f"More than {MAX_AROUND_BYTES} bytes are around the parts of the form.")

    def close(self) -> None:
        if not self._complete:
            raise InvalidRequest("The form has no end: its last boundary is missing; send it whole.")

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise RequestTooLarge(f"The form has more than {MAX_PARTS} parts; send them in several forms.")
        self._headers = {}
        self._header_bytes = self._field_bytes = 0

    def _take_header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += self._header(data[start:end])

    def _take_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += self._header(data[start:end])

    def _header(self, piece: bytes) -> bytes:
        self._header_bytes += len(piece)
        if self._header_bytes > MAX_HEADER_BYTES:
            raise InvalidRequest(f"A part of the form has more than {MAX_HEADER_BYTES} bytes of headers.")
        return piece

    def _end_header(self) -> None:
        try:
            name, value = self._name.decode("ascii").lower(), self._value.decode()
        except UnicodeDecodeError:
            raise InvalidRequest("A header of a part of the form is not UTF-8.") from None
        if name in self._headers:
            raise InvalidRequest(f"A part of the form has {name!a} twice.")
        self._headers[name] = value
        self._name = self._value = b""

    def _begin_content(self) -> None:
        self._filename = _filename(self._headers)
        if self._filename:
            self._events.append(MemberBegins(self._filename, None))

    def _take_content(self, data: bytes, start: int, end: int) -> None:
        if self._filename:
            self._data.append(data[start:end])
            return
        self._field_bytes += end - start
        if self._filename is not None:
            raise InvalidRequest('A file of the form has no name; send it with filename="...".')
        if self._field_bytes > MAX_FIELD_BYTES:
            raise RequestTooLarge(f"A field that is no file has more than {MAX_FIELD_BYTES} bytes.")

    def _end_part(self) -> None:
        if self._filename:
            self._end_data()
            self._events.append(MemberEnds())

    def _end_data(self) -> None:
        if self._data:
            self._events.append(MemberData(b"".join(self._data)))
            self._data = []

    def _end(self) -> None:
        self._complete = True


def _filename(headers: dict[str, str]) -> str | None:
    """What a part's Content-Disposition calls its file; None where it is no file."""
    encoding = headers.get("content-transfer-encoding", "binary").strip().lower()
    if encoding not in _PLAIN_ENCODINGS:
        raise InvalidRequest(f"The encoding {encoding!a} of a part is not known; send files as they are.")
    kind, semicolon, rest = headers.get("content-disposition", "").partition(";")
    parameters = _parameters(semicolon + rest, "The Content-Disposition of a part")
    if kind.strip().lower() != "form-data" or "name" not in parameters:
        raise InvalidRequest('Each part of the form needs "Content-Disposition: form-data" with a name.')
    if any(name.startswith("filename*") for name in parameters):
        raise InvalidRequest("A form has no filename* (RFC 7578, section 4.2); send filename in UTF-8.")
    filename = parameters.get("filename")
    return None if filename is None else _ESCAPE.sub(lambda found: _ESCAPED[found[0].upper()], filename)


def _parameters(text: str, where: str) -> dict[str, str]:
    """Those of a header, with their names in lower case.

    A backslash escapes a quote, as old programs write one, and stands for itself before all else: browsers
    write a quote as %22.
    """
    found: dict[str, str] = {}
    position = 0
    while match := _PARAMETER.match(text, position):
        name, quoted, plain = match[1].lower(), match[2], match[3]
        if name in found:
            raise InvalidRequest(f"{where} has the parameter {name!a} twice.")
        found[name] = quoted.replace('\\"', '"') if quoted is not None else plain
        position = match.end()
    if position < len(text):
        raise InvalidRequest(f"{where} has a parameter that is malformed: {text[position:][:100]!a}.")
    return found
