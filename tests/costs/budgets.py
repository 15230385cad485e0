"""What the server may spend: the one place where that stands.

Everything is counted and nothing is timed, so it is the same on every machine, whatever that does besides:
calls of functions (see `tests.support.instruments`), hand-overs to threads, system calls, requests to a
store, and bytes of memory at once.

    python -m tests.costs

measures all of it, and prints each figure beside the one that stands here. Whoever makes something cheaper
puts the lower figure here, so that it stays so; whoever has to make it dearer says in the commit what for.
Where a figure differs a little from run to run, the highest stands here. They are those of Python 3.11:
later versions make fewer calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

MARGIN = 0.12
"""By so much a budget is more than what was measured: below that is noise, and what nobody would notice."""
_GROWTH = 0.05
"""By so much more one more may cost where there are many."""
_NOISE = 0.5
"""Calls for each one more that are no growth."""

MEASURED: dict[str, float] = {
    # Of one request, from the bytes that come to the bytes that go.
    "calls: GET 4 KiB": 738,
    "calls: GET 4 KiB, MLflow": 745,
    "calls: GET 4 KiB, not modified": 658,
    "calls: GET 1 MiB of 16": 1_010,
    "calls: GET nothing": 792,
    "calls: HEAD": 750,
    "calls: PUT 4 KiB": 1_660,
    "calls: PUT 4 KiB, MLflow": 1_650,
    # What is in memory is read at once; an upload is opened by one call and committed by another.
    "hand-overs: GET 4 KiB": 0,
    "hand-overs: GET 4 KiB, MLflow": 0,
    "hand-overs: GET 4 KiB, not modified": 0,
    "hand-overs: GET 1 MiB of 16": 1,
    "hand-overs: GET nothing": 1,
    "hand-overs: HEAD": 1,
    "hand-overs: PUT 4 KiB": 2,
    "hand-overs: PUT 4 KiB, MLflow": 2,
    # Of a large transfer: a download closes its file in a thread, an upload writes each batch in one.
    "calls: 1 MiB of download": 157,
    "calls: 1 MiB of upload": 592,
    "hand-overs: download of 32 MiB": 1,
    "hand-overs: upload of 32 MiB": 46,
    "memory: download": 1_600_000,
    "memory: upload": 1_820_000,
    "system calls: opening, download": 3,
    "system calls: from a file to a socket, 1 MiB of download": 4.3,
    "system calls: opening, upload": 28,
    "system calls: from a socket, 1 MiB of upload": 4.13,
    "system calls: to a file, 1 MiB of upload": 1.38,
    "system calls: waiting for the disk, upload": 2,
    "system calls: writing back, upload of 32 MiB": 3,
    # Of an entry among 10 000, and of a listing.
    "calls: entry of a level": 33.2,
    "calls: entry of a level, MLflow": 25.2,
    "calls: entry of a tree": 34.3,
    "hand-overs: level": 1,
    "hand-overs: level, MLflow": 1,
    "hand-overs: tree": 1,
    "memory: entry of a level": 2_010,
    "memory: entry of a level, MLflow": 292,
    "memory: entry of a tree": 2_040,
    # Of storage in S3, without the request to the server.
    "calls: S3, GET 4 KiB": 2_230,
    "calls: S3, stat": 5_180,
    "calls: S3, PUT 4 KiB": 14_600,
    "calls: S3, entry of a level": 106,
    "calls: S3, entry of a tree": 76.5,
    "requests to a store: GET 4 KiB": 1,
    "requests to a store: stat": 1,
    "requests to a store: PUT 4 KiB": 3,
    "requests to a store: level of 1 pages": 1,
    "requests to a store: level of 4 pages": 5,
    "requests to a store: level of 8 pages": 9,
    "requests to a store: tree of 1 pages": 1,
    "requests to a store: tree of 4 pages": 4,
    "requests to a store: tree of 8 pages": 8,
}

seen: dict[str, float] = {}
"""What was measured in this run, at most."""
enforced = True
"""Whether more than a budget is a failure."""


def spend(what: str, cost: float, calls: Counter[str] | None = None, times: int = 1) -> None:
    """Fails if `what` costs more than its budget. `calls`: those that were made for it, so many `times`."""
    seen[what] = max(cost, seen.get(what, 0))
    measured = MEASURED.get(what, 0)
    budget = measured * (1 + MARGIN)
    said = [f"{what}: {cost:.1f}. The budget is {budget:.1f}, which is {measured:g} and {MARGIN:.0%} more."]
    if calls:
        said += ["Called most:", *(f"{n / times:10.1f} {name}" for name, n in calls.most_common(30))]
    assert cost or not measured, f"{what}: nothing was counted, where {measured:g} was."
    assert cost <= budget or not enforced, "\n".join(said)


def grows_no_faster(what: str, costs: Mapping[int, float]) -> None:
    """Fails if one more costs more among many than among few. `costs`: by how many, the fewest first."""
    steps = pairwise(costs.items())
    each = [(cost - before) / (many - few) for (few, before), (many, cost) in steps]
    for among_few, among_many in pairwise(each):
        allowed = among_few * (1 + _GROWTH) + _NOISE
        assert among_many <= allowed, f"{what}: from {list(costs)} on, each one more takes {each} more."
