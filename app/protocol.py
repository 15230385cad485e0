"""HTTP/1.1 on a connection: uvicorn's protocol, where it does less or more than a store of files needs.

The parser takes `Upgrade` for the end of HTTP and drops the body behind it, which for a PUT with
`Upgrade: h2c` (Java's client sends that by default) means an empty artifact. It gives trailers out
as headers. It collects a head of any size, and cuts a fragment off the target. Its errors are made
ours here, too.
"""

from __future__ import annotations

import http
import json

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
"""More than any client of ours needs; counted as a head goes on from one read to the next."""


class HttpProtocol(HttpToolsProtocol):
    _in_head = False
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        went_on = self._in_head
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("This is not valid HTTP/1.1; the connection is closed.")
        else:
            if self._in_head:
                self._head_bytes += len(data) if went_on else 0
                if self._head_bytes > MAX_HEAD_BYTES:
                    self._refuse(431, f"The request's head is larger than {MAX_HEAD_BYTES} bytes; send less.")

    def _decline_upgrade(self, rest: bytes) -> None:
        """Starts the request anew without `Upgrade`, which a server may ignore (RFC 9110, 7.8)."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(501, "CONNECT is not implemented; this server is no proxy of that kind.")
            return
        lines = [b"%b %b HTTP/%b" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.data_received(b"\r\n".join([*lines, b"", rest]))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        if b"#" in url:  # would be cut off, and another artifact be meant than was named
            raise ValueError("a fragment is no part of a request target")
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # what comes behind the body are trailers, which nobody asked for
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self.parser.should_upgrade():
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def _refuse(self, status: int, message: str) -> None:
        """Answers before there is a request, in the form of all our errors, and closes."""
        self.logger.warning("Closed a connection with %d %s.", status, http.HTTPStatus(status).phrase)
        code = "NOT_IMPLEMENTED" if status == 501 else "MALFORMED_REQUEST"
        body = json.dumps({"error_code": code, "message": message}).encode()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
        self.transport.close()
