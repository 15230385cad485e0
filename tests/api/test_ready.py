"""GET /ready: what load balancers are told, and that it comes soon whatever the storage does."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.interposer import interposing
from tests.support.interposer_actions import hang
from tests.support.object_store import ObjectStore
from tests.support.patched import patched
from tests.support.server import Server, running, stop
from tests.support.waiting import wait_until

NAMES = ["disk", "draining", "storage"]


def failing(answer: httpx.Response) -> list[str]:
    """The checks that fail; the answer must be fit for anybody and for load balancers."""
    checks: dict[str, Any] = answer.json()["checks"]
    assert sorted(checks) == NAMES
    for check in checks.values():
        assert sorted(check) == ["message", "ok", "seconds"]
        assert check["seconds"] >= 0
        assert check["message"]
    failed = sorted(name for name, check in checks.items() if not check["ok"])
    assert answer.status_code == (503 if failed else 200)
    assert answer.json()["status"] == ("not ready" if failed else "ready")
    assert ("retry-after" in answer.headers) is bool(failed)
    assert answer.headers["cache-control"] == "no-store"
    return failed


@pytest.fixture
def soon(tmp_path: Path) -> dict[str, str]:
    """For a server whose outcomes hold for a second only, so that nobody waits long for the next ones."""
    return patched(tmp_path / "patch", "import app.api.readiness", "app.api.readiness.FRESH_SECONDS = 1")


def until_failing(client: httpx.Client, server: Server, expected: list[str]) -> httpx.Response:
    """The first answer with these checks that fail."""
    answers = []

    def has_come() -> bool:
        time.sleep(0.1)  # an outcome holds for a while, so nobody need hurry
        answers.append(client.get(f"{server.url}/ready"))
        return failing(answers[-1]) == expected

    wait_until(has_come, f"failing: {expected}")
    return answers[-1]


def test_a_server_that_can_store_is_ready(server: Server, client: httpx.Client) -> None:
    assert failing(client.get(f"{server.url}/ready")) == []
    examined = client.head(f"{server.url}/ready")
    assert (examined.status_code, examined.content) == (200, b"")


def test_it_may_be_asked_under_any_name(server: Server, client: httpx.Client) -> None:
    elsewhere = {"Host": "pod-7.internal"}
    assert client.get(f"{server.url}/version", headers=elsewhere).status_code == 421
    for method in ("GET", "HEAD"):
        assert client.request(method, f"{server.url}/ready", headers=elsewhere).status_code == 200


def test_a_root_that_is_lost_is_not_ready_until_it_is_back(
    serve: Callable[..., Server], client: httpx.Client, soon: dict[str, str], tmp_path: Path
) -> None:
    server = serve(**soon)
    assert failing(client.get(f"{server.url}/ready")) == []
    elsewhere = server.root.rename(tmp_path / "elsewhere")
    told = until_failing(client, server, ["disk", "storage"])
    assert str(tmp_path) not in told.text
    assert client.get(f"{server.url}/health").status_code == 200, "another process would not help"
    elsewhere.rename(server.root)
    until_failing(client, server, [])
    assert server.log().count("Not ready as to the storage") == 1
    assert server.log().count("Ready again as to the storage") == 1


class TestDisk:
    @pytest.fixture
    def small(self, tmp_path: Path, need_root: None) -> Iterator[Path]:
        """A disk with less room than the reserve that is the default."""
        mount = tmp_path / "small"
        mount.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", mount], check=True)
        yield mount
        subprocess.run(["umount", mount], check=True)

    def test_below_its_reserve_is_not_ready_and_takes_nothing_but_gives_and_deletes(
        self, small: Path, client: httpx.Client
    ) -> None:
        (small / "old").write_bytes(b"old")
        with running(small) as server:
            assert failing(client.get(f"{server.url}/ready")) == ["disk"]
            for content in (b"new", iter([b"new"]), b""):
                refused = client.put(f"{server.native}/old", content=content)
                assert (refused.status_code, refused.json()["error_code"]) == (507, "QUOTA_EXCEEDED")
            assert client.get(f"{server.native}/old").content == b"old"
            assert client.delete(f"{server.native}/old").status_code == 204
            assert server.tree() == {}
            assert server.staged() == []


def test_a_silent_store_is_not_ready_within_seconds_and_asked_no_more_than_once(
    object_store: ObjectStore, bucket: str, client: httpx.Client, soon: dict[str, str], tmp_path: Path
) -> None:
    with (
        interposing(object_store.url) as store,
        running(
            f"s3://{bucket}/some/root",
            environment=object_store.environment(store.url) | soon,
            log_file=tmp_path / "log",
        ) as server,
    ):
        assert failing(client.get(f"{server.url}/ready")) == []
        store.on("ListObjectsV2", hang, times=None)
        store.clear()
        told = until_failing(client, server, ["storage"])
        assert "no answer within 3 seconds" in told.json()["checks"]["storage"]["message"]
        for secret in (bucket, store.url, object_store.access_key):
            assert secret not in told.text
        assert all(failing(client.get(f"{server.url}/ready")) == ["storage"] for _ in range(20))
        assert len(store.requests("ListObjectsV2")) == 1
        began = time.monotonic()
        stop(server.process)
        assert time.monotonic() - began < 10, "the check still waits for the store"
