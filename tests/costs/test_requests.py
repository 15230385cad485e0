"""A small request costs what it did, however often and in whatever order it comes."""

from __future__ import annotations

import pytest

from tests.costs.budgets import grows_no_faster, spend
from tests.support.instrumented import HANDED_OVER, Instrumented

MIB = 1024 * 1024
SMALL = bytes(4096)
TIMES = 30
NATIVE = "/v1/artifacts"
MLFLOW = "/api/2.0/mlflow-artifacts/artifacts"

Kind = tuple[str, str, tuple[str, ...], bytes]
"""Method, target, headers, body."""

KINDS: dict[str, tuple[Kind, int]] = {
    "GET 4 KiB": (("GET", f"{NATIVE}/requests/small", (), b""), 200),
    "GET 4 KiB, MLflow": (("GET", f"{MLFLOW}/requests/small", (), b""), 200),
    "GET 4 KiB, not modified": (("GET", f"{NATIVE}/requests/small", ("If-None-Match: *",), b""), 304),
    "GET 1 MiB of 16": (("GET", f"{NATIVE}/requests/large", ("Range: bytes=1048576-2097151",), b""), 206),
    "GET nothing": (("GET", f"{NATIVE}/requests/none", (), b""), 404),
    "HEAD": (("HEAD", f"{NATIVE}/requests/small", (), b""), 200),
    "PUT 4 KiB": (("PUT", f"{NATIVE}/requests/new", (), SMALL), 200),
    "PUT 4 KiB, MLflow": (("PUT", f"{MLFLOW}/requests/new", (), SMALL), 200),
}
"""And the status of the answer."""


@pytest.fixture(scope="module", autouse=True)
def _artifacts(counting: Instrumented) -> None:
    directory = counting.root / "requests"
    directory.mkdir()
    for name in ("small", "new"):
        (directory / name).write_bytes(SMALL)
    with (directory / "large").open("wb") as file:
        file.truncate(16 * MIB)


@pytest.mark.parametrize("what", KINDS)
def test_a_request_makes_no_more_calls_and_no_more_hand_overs_than_it_may(
    counting: Instrumented, what: str
) -> None:
    (method, target, headers, body), status = KINDS[what]
    assert counting.ask(method, target, *headers, body=body, times=TIMES).status == status
    with counting.calls() as calls:
        counting.ask(method, target, *headers, body=body, times=TIMES)
    spend(f"calls: {what}", calls.total() / TIMES, calls, TIMES)
    spend(f"hand-overs: {what}", calls[HANDED_OVER] / TIMES)


@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT"])
def test_each_directory_of_a_path_costs_the_same(counting: Instrumented, method: str) -> None:
    costs: dict[int, float] = {}
    body = SMALL if method == "PUT" else b""
    for depth in (10, 20, 40):
        path = "/".join(["requests", method.lower(), *map(str, range(depth))])
        (counting.root / path).mkdir(parents=True, exist_ok=True)
        (counting.root / path / "a").write_bytes(SMALL)
        counting.ask(method, f"{NATIVE}/{path}/a", body=body, times=2)
        with counting.calls() as calls:
            counting.ask(method, f"{NATIVE}/{path}/a", body=body, times=10)
        costs[depth] = calls.total() / 10
    grows_no_faster(f"calls: {method} by depth", costs)


def test_a_count_is_the_same_whatever_was_counted_before(counting: Instrumented) -> None:
    counted: dict[str, list[int]] = {"small": [], "large": []}
    headers = ("Range: bytes=0-4095",)
    for name in counted:
        counting.ask("GET", f"{NATIVE}/requests/{name}", *headers)
    for name in ("small", "large", "small", "large", "large", "small"):
        with counting.calls() as calls:
            counting.ask("GET", f"{NATIVE}/requests/{name}", *headers, times=TIMES)
        counted[name].append(calls.total())
    for totals in counted.values():
        assert min(totals) > 0
        assert max(totals) < min(totals) * 1.02
