"""Batches over S3 in one line each: members that are held or staged, and requests of single ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

from app.storage.base import Batch
from app.storage.s3.batch import HELD_BYTES
from app.storage.s3.storage import S3Storage
from tests.support.artifacts import stage
from tests.support.interposer_actions import Action
from tests.support.interposer_exchange import Exchange, Request
from tests.support.s3_chain import PREFIX, Chain
from tests.support.waiting import wait_until

AGE = 1000
"""Of an abandoned upload."""
NAMES = [f"d/{number}" for number in range(6)]


def small(name: str) -> bytes:
    """What is held until it is published."""
    return name.encode()


def large(name: str) -> bytes:
    """What is staged, as one part."""
    return name.encode().ljust(HELD_BYTES + 1)


def stage_all(
    batch: Batch, names: Iterable[str] = NAMES, content: Callable[[str], bytes] = large
) -> dict[str, bytes]:
    staged = {name: content(name) for name in names}
    for name, data in staged.items():
        stage(batch, name, data)
    return staged


def judge(batch: Batch) -> int:
    """In how many steps."""
    return sum(1 for _ in batch.judge())


def outcomes(batch: Batch) -> dict[str, type[Exception] | None]:
    return {str(one.path): type(one.error) if one.error else None for one in batch.publish()}


def memory_used(chain: Chain) -> tuple[int, int]:
    """Bytes of what is written and sent, and of what is held."""
    workshop = cast(S3Storage, chain.storage)._workshop
    return workshop.memory.used, workshop.held.used


def settle(chain: Chain, count: int) -> None:
    """Waits until so many parts have been sent, and nothing is on its way any more."""
    parts = chain.interposer.requests
    wait_until(lambda: len(parts("UploadPart")) == count, "the parts are on their way")
    wait_until(lambda: memory_used(chain)[0] == 0, "they have arrived")


def concerns(operation: str, name: str) -> Callable[[Request], bool]:
    return lambda request: (request.operation, request.key) == (operation, f"{PREFIX}{name}")


def together(chain: Chain, operation: str, count: int) -> Action:
    """Lets none of these requests pass before so many have come."""

    def act(exchange: Exchange) -> None:
        wait_until(lambda: len(chain.interposer.requests(operation)) >= count, "they have come together")
        exchange.reply(exchange.forward())

    return act
