"""How much may lie below a prefix: refused before it is sent where possible, and measured anew."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import httpx
import pytest

from app.api.quotas import Quotas
from app.api.threads import StorageThreads
from app.cli import main as command
from app.errors import QuotaExceeded, ServerBusy
from app.paths import ArtifactPath
from tests.support.artifacts import path
from tests.support.event_loop import run, until
from tests.support.guarded import flooded, told
from tests.support.raw import exchange, head
from tests.support.server import Server, running
from tests.support.waiting import wait_until

FULL = (507, "QUOTA_EXCEEDED")


class Stored:
    """A storage of which only the size below a prefix is known."""

    def __init__(self, size: int = 0) -> None:
        self.size = size
        self.asked = 0
        self.broken = False

    def usage(self, directory: ArtifactPath) -> int:
        self.asked += 1
        if self.broken:
            raise OSError("the disk is away")
        return self.size


def room(quotas: Quotas, place: str, size: int) -> None:
    """Takes room for an upload that comes to nothing."""
    with quotas.reservation(path(place)) as reserved:
        reserved.grow_to(size)


def store(quotas: Quotas, place: str, size: int) -> None:
    with quotas.reservation(path(place)) as reserved:
        reserved.grow_to(size)
        reserved.keep()


class TestCounting:
    def test_what_is_stored_counts_at_once_and_by_whole_segments(self, threads: StorageThreads) -> None:
        quotas = Quotas({path("users/a"): 100, path("users"): 150}, Stored().usage, threads)

        async def main() -> None:
            await quotas.measure()
            store(quotas, "users/a/x", 60)
            room(quotas, "users/a/y", 40)
            for refused in ("users/a/y", "users/a"):
                with pytest.raises(QuotaExceeded, match=r"'users/a' may hold 100 bytes, of which about 60"):
                    room(quotas, refused, 41)
            store(quotas, "users/b", 60)
            with pytest.raises(QuotaExceeded, match=r"'users' may hold 150 bytes, of which about 120 are"):
                room(quotas, "users/c", 31)
            for free in ("users-a", "other", "a/users/a"):
                room(quotas, free, 10**18)

        run(main())

    def test_what_is_on_its_way_counts_until_it_comes_to_nothing(self, threads: StorageThreads) -> None:
        quotas = Quotas({path("d"): 100}, Stored().usage, threads)

        async def main() -> None:
            await quotas.measure()
            with quotas.reservation(path("d/a")) as first, quotas.reservation(path("d/b")) as second:
                first.grow_to(30)
                first.grow_to(60)
                first.grow_to(50)
                second.grow_to(40)
                with pytest.raises(QuotaExceeded):
                    second.grow_to(41)
                first.keep()
                with pytest.raises(QuotaExceeded):
                    second.grow_to(41)
            room(quotas, "d/c", 40)
            with pytest.raises(QuotaExceeded):
                room(quotas, "d/c", 41)

        run(main())

    def test_before_it_was_measured_nobody_knows(self, threads: StorageThreads) -> None:
        quotas = Quotas({path("d"): 100}, Stored().usage, threads)
        with pytest.raises(ServerBusy):
            room(quotas, "d/a", 1)
        room(quotas, "e/a", 1)

    def test_the_root_may_have_one(self, threads: StorageThreads) -> None:
        quotas = Quotas({ArtifactPath(): 10}, Stored().usage, threads)

        async def main() -> None:
            await quotas.measure()
            with pytest.raises(QuotaExceeded):
                room(quotas, "a", 11)

        run(main())

    def test_the_next_measuring_knows_what_was_deleted_and_what_others_stored(
        self, threads: StorageThreads
    ) -> None:
        stored = Stored(90)
        quotas = Quotas({path("d"): 100}, stored.usage, threads)

        async def main() -> None:
            await quotas.measure()
            with pytest.raises(QuotaExceeded):
                room(quotas, "d/a", 11)
            stored.size = 0
            await quotas.measure()
            room(quotas, "d/a", 100)
            stored.size = 100
            await quotas.measure()
            with pytest.raises(QuotaExceeded):
                room(quotas, "d/a", 1)

        run(main())

    def test_what_is_stored_during_the_measuring_is_not_forgotten(self, threads: StorageThreads) -> None:
        measuring: list[int] = []

        def usage(_: ArtifactPath) -> int:
            measuring.append(1)
            if len(measuring) > 1:
                store(quotas, "d/b", 30)
            return 50

        quotas = Quotas({path("d"): 100}, usage, threads)

        async def main() -> None:
            await quotas.measure()
            await quotas.measure()
            room(quotas, "d/a", 20)
            with pytest.raises(QuotaExceeded):
                room(quotas, "d/a", 21)

        run(main())

    def test_the_measuring_goes_on_after_a_failure(
        self, threads: StorageThreads, caplog: pytest.LogCaptureFixture
    ) -> None:
        stored = Stored(90)
        stored.broken = True
        quotas = Quotas({path("d"): 100}, stored.usage, threads)

        async def main() -> None:
            measuring = asyncio.create_task(quotas.keep_measured(0.001))
            await until(lambda: stored.asked > 2)
            stored.broken = False
            asked = stored.asked
            await until(lambda: stored.asked > asked + 1)
            measuring.cancel()
            with pytest.raises(asyncio.CancelledError):
                await measuring
            with pytest.raises(QuotaExceeded):
                room(quotas, "d/a", 11)

        run(main())
        assert "Could not measure" in caplog.text

    def test_without_quotas_nothing_is_measured(self, threads: StorageThreads) -> None:
        run(Quotas({}, None, threads).keep_measured(3600))
        room(Quotas({}, None, threads), "a", 10**18)


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("quotas") / "root"
    (root / "old").mkdir(parents=True)
    (root / "old" / "a").write_bytes(bytes(900))
    quotas = {"old": 1000, "announced/": 1000, "chunked/": 1_000_000}
    with running(root, "--quotas", json.dumps(quotas)) as server:
        yield server


class TestOverHttp:
    def test_what_was_there_at_the_start_counts(self, limited: Server, client: httpx.Client) -> None:
        def refused() -> bool:
            return client.put(f"{limited.native}/old/b", content=bytes(101)).status_code == 507

        wait_until(refused, "it was measured")
        assert client.put(f"{limited.native}/old/c", content=bytes(100)).is_success
        for url in (limited.native, f"{limited.mlflow}/artifacts"):
            assert told(client.put(f"{url}/old/d", content=b"x")) == FULL
            assert client.put(f"{url}/older/d", content=bytes(2000)).is_success
        assert client.get(f"{limited.native}/old/a").is_success

    def test_what_is_announced_is_refused_before_its_body(self, limited: Server) -> None:
        fields = ("Content-Length: 1001", "Expect: 100-continue")
        answer = exchange(limited.url, head("PUT", "/v1/artifacts/announced/a", *fields))
        assert answer.status == 507  # and no 100 before it
        assert b"'announced' may hold 1000 bytes" in answer.body

    def test_what_turns_out_to_be_too_large_is_refused_on_the_way(
        self, limited: Server, client: httpx.Client
    ) -> None:
        answer = flooded(limited.url, head("PUT", "/v1/artifacts/chunked/a", "Transfer-Encoding: chunked"))
        assert answer.status == 507
        assert not (limited.root / "chunked").exists()
        wait_until(lambda: not limited.staged(), "nothing of the upload is left")
        assert client.put(f"{limited.native}/chunked/a", content=iter([bytes(1_000_000)])).is_success


def test_a_root_whose_size_cannot_be_told_cheaply_has_none(
    no_variables: None, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ("--default-artifact-root", "s3://bucket/path", "--s3-region", "eu-central-1")
    assert command([*root, "--quotas", '{"a/": 1}']) == 2
    message = capsys.readouterr().err
    assert "--quotas=" in message
    assert "use the store's own quotas" in message
