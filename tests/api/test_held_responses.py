"""What is answered in one piece is over when the client has taken it: so long it is in memory, and counts."""

from __future__ import annotations

import asyncio

from starlette.types import Message

from app.api.transfer import WholeResponse
from tests.support.event_loop import A_MOMENT, run

BODY = bytes(300_000)


class Connection:
    """As uvicorn's: it takes a message at once, and the next one when most of what it has is sent."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.drained = asyncio.Event()
        self.drained.set()

    async def receive(self) -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: Message) -> None:
        await self.drained.wait()
        self.sent.append(message)
        if message.get("body"):
            self.drained.clear()


def test_it_ends_when_the_connection_has_sent_nearly_all_of_it() -> None:
    async def main() -> None:
        client = Connection()
        response = WholeResponse(BODY, 206, {"X-Size": "1"})
        answering = asyncio.create_task(response({"type": "http"}, client.receive, client.send))
        await asyncio.sleep(A_MOMENT)
        assert not answering.done()
        assert client.sent[-1] == {"type": "http.response.body", "body": BODY, "more_body": True}
        client.drained.set()
        await answering
        assert (client.sent[0]["status"], len(client.sent)) == (206, 3)
        assert (b"x-size", b"1") in client.sent[0]["headers"]
        assert not client.sent[-1].get("more_body")

    run(main())
