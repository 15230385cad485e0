"""Many transfers at once, in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from itertools import islice
from threading import Event
from typing import TypeVar

from artifact_proxy.stopping import STOP

T = TypeVar("T")
R = TypeVar("R")


def each(work: Callable[[T], R], items: Iterable[T], jobs: int) -> Iterator[R]:
    """What `work` gives for each item, as it is there; `jobs` at once.

    Whoever stops early, by whatever error, ends those that run: they notice it with their next piece. Only
    an interruption from outside does not wait for that.
    """
    stop = Event()
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="artifact-proxy")
    left, running = iter(items), set[Future[R]]()

    def begun(item: T) -> Future[R]:
        context = copy_context()
        context.run(STOP.set, stop)
        return pool.submit(context.run, work, item)

    patient = True
    try:
        # Few ahead, as there may be very many.
        running.update(begun(item) for item in islice(left, 2 * jobs))
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running.update(begun(item) for item in islice(left, len(done)))
            for future in done:
                yield future.result()
    except (KeyboardInterrupt, SystemExit):
        patient = False
        raise
    finally:
        stop.set()
        pool.shutdown(wait=patient, cancel_futures=True)
