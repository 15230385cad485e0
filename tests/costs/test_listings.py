"""Each entry of a listing costs the same, however many there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.costs.budgets import grows_no_faster, spend
from tests.support.instrumented import HANDED_OVER, Instrumented

SIZES = (100, 1_000, 10_000)
TARGETS = {
    "level, MLflow": "/api/2.0/mlflow-artifacts/artifacts?path=listings/{}",
    "level": "/v1/artifacts/listings/{}/?max_results=10000",
    "tree": "/v1/artifacts/listings/{}-tree/?max_results=10000&recursive=true",
}


@pytest.fixture(scope="module", autouse=True)
def _directories(counting: Instrumented) -> None:
    for size in SIZES:
        _fill(counting.root / "listings" / str(size), size, 1)
        _fill(counting.root / "listings" / f"{size}-tree", size, 10)


def _fill(directory: Path, files: int, directories: int) -> None:
    for number in range(directories):
        below = directory / str(number) if directories > 1 else directory
        below.mkdir(parents=True)
        for name in range(files // directories):
            (below / f"model-{name:05}.bin").touch()


@pytest.mark.parametrize("what", TARGETS)
def test_an_entry_makes_no_more_calls_than_it_may_however_many_there_are(
    counting: Instrumented, what: str
) -> None:
    costs: dict[int, float] = {}
    counting.ask("GET", TARGETS[what].format(SIZES[0]))
    for size in SIZES:
        with counting.calls() as calls:
            answer = counting.ask("GET", TARGETS[what].format(size))
        assert answer.status == 200
        costs[size] = calls.total()
        spend(f"hand-overs: {what}", calls[HANDED_OVER])
    spend(f"calls: entry of a {what}", costs[SIZES[-1]] / SIZES[-1], calls, SIZES[-1])
    grows_no_faster(f"calls: entry of a {what}", costs)


@pytest.mark.parametrize("what", TARGETS)
def test_an_entry_takes_no_more_memory_than_it_may_however_many_there_are(
    counting: Instrumented, what: str
) -> None:
    counting.ask("GET", TARGETS[what].format(SIZES[0]))  # what the first one needs stays
    for size in SIZES[1:]:  # among few, it is mostly that of the request
        with counting.memory() as peak:
            counting.ask("GET", TARGETS[what].format(size))
        spend(f"memory: entry of a {what}", max(peak) / size)
