"""Bodies on their way to the application: in the pieces in which they came, and never copied without need."""

from __future__ import annotations

import asyncio
import tracemalloc
from types import SimpleNamespace

import pytest

from app.server.body import Body
from tests.support.event_loop import run
from tests.support.raw import connection, head, read_answer
from tests.support.server import Server


class Transport:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closing = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closing


class Cycle(SimpleNamespace):
    """What uvicorn has for a request, and does with it."""

    def __init__(self, came: bytes = b"", *, expects: bool = False) -> None:
        super().__init__(
            body=bytearray(came),
            more_body=True,
            disconnected=False,
            response_complete=False,
            waiting_for_100_continue=expects,
            message_event=asyncio.Event(),
            transport=Transport(),
            flow=SimpleNamespace(resume_reading=lambda: None),
        )

    def comes(self, *pieces: bytes, last: bool = False) -> None:
        for piece in pieces:
            self.body += piece
        self.more_body = not last
        self.message_event.set()


def body_of(cycle: Cycle) -> Body:
    return Body(cycle)  # type: ignore[arg-type]  # it has what is used of one


def piece_of(size: int) -> bytes:
    return bytes(bytearray(size))


def test_a_single_piece_is_handed_over_without_a_copy() -> None:
    async def main() -> None:
        cycle = Cycle()
        body = body_of(cycle)
        for size in (1, 100, 300_000):
            piece = piece_of(size)
            cycle.comes(piece)
            assert (await body.receive())["body"] is piece  # type: ignore[typeddict-item]  # it is a request's
            assert len(body) == 0

    run(main())


def test_many_small_ones_are_held_as_one() -> None:
    """As each would cost memory of its own."""

    async def main() -> None:
        cycle = Cycle()
        body = body_of(cycle)
        tracemalloc.start()
        try:
            cycle.comes(*(bytes([number % 256, 0]) for number in range(100_000)))
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(body) == 200_000
        assert held < 300_000

    run(main())


def test_several_are_joined_in_their_order_and_counted_until_then() -> None:
    async def main() -> None:
        cycle = Cycle()
        body = body_of(cycle)
        assert (len(body), bool(cycle.body)) == (0, False)
        cycle.comes(b"one", b"two")
        cycle.comes(b"three")
        assert len(cycle.body) == 11
        assert await body.receive() == more(b"onetwothree")
        assert len(cycle.body) == 0
        cycle.comes(b"four", last=True)
        assert await body.receive() == more(b"four") | {"more_body": False}

    run(main())


def more(data: bytes) -> dict[str, object]:
    return {"type": "http.request", "body": data, "more_body": True}


@pytest.mark.parametrize("came", [b"", b"what came before"])
def test_what_came_before_the_requests_turn_is_there(came: bytes) -> None:
    async def main() -> None:
        cycle = Cycle(came)
        body = body_of(cycle)
        cycle.comes(b" and after", last=True)
        assert await body.receive() == more(came + b" and after") | {"more_body": False}

    run(main())


def test_it_waits_until_something_comes() -> None:
    async def main() -> None:
        cycle = Cycle()
        body = body_of(cycle)
        receiving = asyncio.ensure_future(body.receive())
        await asyncio.sleep(0)
        assert not receiving.done()
        cycle.comes(last=True)
        assert await receiving == more(b"") | {"more_body": False}

    run(main())


@pytest.mark.parametrize("closing", [False, True])
def test_who_asks_first_is_told_to_go_on_once_the_body_is_wanted(closing: bool) -> None:
    async def main() -> None:
        cycle = Cycle(expects=True)
        cycle.transport.closing = closing
        body = body_of(cycle)
        assert cycle.transport.written == []
        for _ in range(2):
            cycle.comes(b"x")
            await body.receive()
        assert cycle.transport.written == ([] if closing else [b"HTTP/1.1 100 Continue\r\n\r\n"])

    run(main())


@pytest.mark.parametrize("end", ["disconnected", "response_complete"])
def test_nothing_comes_from_a_client_that_is_gone_or_answered(end: str) -> None:
    async def main() -> None:
        cycle = Cycle(b"data")
        body = body_of(cycle)
        receiving = asyncio.ensure_future(body.receive())
        await asyncio.sleep(0)
        setattr(cycle, end, True)
        cycle.message_event.set()
        assert await receiving == {"type": "http.disconnect"}
        assert await body.receive() == {"type": "http.disconnect"}

    run(main())


class TestOverHttp:
    BODY = bytes(range(256)) * 3000

    def upload(self, folder: str, name: str, *headers: str) -> bytes:
        return head("PUT", f"/v1/artifacts/{folder}/{name}", *headers)

    @pytest.mark.parametrize("size", [1, 7, 1000, 65_536])
    def test_pieces_of_any_size_are_one_artifact(self, server: Server, folder: str, size: int) -> None:
        data = self.BODY[: 300 * size]
        chunks = [data[start : start + size] for start in range(0, len(data), size)]
        framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
        with connection(server.url) as connected:
            for _ in range(2):
                connected.sendall(self.upload(folder, "a", "Transfer-Encoding: chunked") + framed)
                assert read_answer(connected).status in {200, 201}
                assert (server.root / folder / "a").read_bytes() == data

    def test_bodies_that_are_sent_ahead_each_come_to_their_own(self, server: Server, folder: str) -> None:
        bodies = [self.BODY[:10], b"", self.BODY[5:20_000], self.BODY]
        requests = [
            self.upload(folder, str(number), f"Content-Length: {len(body)}") + body
            for number, body in enumerate(bodies)
        ]
        with connection(server.url) as connected:
            connected.sendall(b"".join(requests) + head("GET", "/health", "Connection: close"))
            with connected.makefile("rb") as stream:
                assert stream.read().count(b"HTTP/1.1 201 Created\r\n") == len(bodies)
        found = [(server.root / folder / str(number)).read_bytes() for number in range(len(bodies))]
        assert found == bodies

    def test_who_asks_first_sends_it_when_told(self, server: Server, folder: str) -> None:
        asked = self.upload(folder, "a", f"Content-Length: {len(self.BODY)}", "Expect: 100-continue")
        with connection(server.url) as connected:
            for status in (201, 200):
                connected.sendall(asked)
                assert connected.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
                connected.sendall(self.BODY)
                assert read_answer(connected).status == status
        assert (server.root / folder / "a").read_bytes() == self.BODY
