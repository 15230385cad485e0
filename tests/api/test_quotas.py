"""How much may lie below a prefix: refused before it is sent where possible, and measured anew."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial

import httpx
import pytest

from app.api.quotas import Quotas
from app.api.threads import StorageThreads
from app.cli import main as command
from app.errors import QuotaExceeded, TryLater
from app.paths import ArtifactPath
from tests.support.artifacts import path
from tests.support.event_loop import run, until
from tests.support.guarded import flooded, told
from tests.support.raw import connection, exchange, head, read_answer
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
        with pytest.raises(TryLater):
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
    quotas |= {
        "together/": 1050,
        "in-chunks/": 1050,
        "announced-in-vain/": 3_000_000,
        "sent-in-vain/": 3_000_000,
    }
    with running(root, "--quotas", json.dumps(quotas)) as server:
        for prefix in quotas:
            wait_until(partial(is_measured, server, prefix.strip("/")), f"{prefix} was measured")
        yield server


def is_measured(server: Server, prefix: str) -> bool:
    """Whether what no prefix has room for is refused; before that nothing is known."""
    fields = ("Content-Length: 10000000", "Expect: 100-continue")
    return exchange(server.url, head("PUT", f"/v1/artifacts/{prefix}/none", *fields)).status == 507


def written(server: Server) -> int:
    """The bytes that the uploads in progress have in the root; -1 if there are none."""
    sizes = []
    for name in server.staged():
        with suppress(FileNotFoundError):  # it goes this moment
            sizes.append((server.staging / name).stat().st_size)
    return sum(sizes) if sizes else -1


def stored(server: Server, prefix: str) -> list[int]:
    """The sizes of what lies below a prefix."""
    return [len(content) for name, content in server.tree().items() if name.startswith(f"{prefix}/")]


class TestOverHttp:
    def test_what_was_there_at_the_start_counts(self, limited: Server, client: httpx.Client) -> None:
        assert told(client.put(f"{limited.native}/old/b", content=bytes(101))) == FULL
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

    def test_of_uploads_at_once_as_many_are_taken_as_there_is_room_for(
        self, limited: Server, client: httpx.Client
    ) -> None:
        with ExitStack() as stack:
            uploads = [stack.enter_context(connection(limited.url)) for _ in range(20)]
            for number, connected in enumerate(uploads):
                upload = head("PUT", f"/v1/artifacts/together/{number}", "Content-Length: 100")
                connected.sendall(upload + bytes(50))
            wait_until(lambda: len(limited.staged()) == 10, "as many have begun as fit")
            for connected in uploads:
                connected.sendall(bytes(50))
            answers = [read_answer(connected) for connected in uploads]
        assert sorted(answer.status for answer in answers) == [201] * 10 + [507] * 10
        assert all(b"QUOTA_EXCEEDED" in answer.body for answer in answers if answer.status == 507)
        assert stored(limited, "together") == [100] * 10
        assert told(client.put(f"{limited.native}/together/more", content=bytes(51))) == FULL
        assert client.put(f"{limited.native}/together/more", content=bytes(50)).is_success

    def test_so_it_is_where_no_length_is_announced(self, limited: Server, client: httpx.Client) -> None:
        def put(number: int) -> tuple[int, str | None]:
            content = iter([bytes(50)] * 2)
            return told(client.put(f"{limited.native}/in-chunks/{number}", content=content))

        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(put, range(20)))
        assert sorted(answers, key=str) == [(201, None)] * 10 + [FULL] * 10
        assert stored(limited, "in-chunks") == [100] * 10
        assert client.put(f"{limited.native}/in-chunks/more", content=iter([bytes(50)])).is_success

    @pytest.mark.parametrize(
        ("prefix", "framing", "body"),
        [
            ("announced-in-vain", "Content-Length: 3000000", b"x"),
            ("sent-in-vain", "Transfer-Encoding: chunked", b"%x\r\n%b\r\n" % (2_500_000, bytes(2_500_000))),
        ],
        ids=["announced", "chunked"],
    )
    def test_what_comes_to_nothing_gives_its_room_back(
        self, *, limited: Server, client: httpx.Client, prefix: str, framing: str, body: bytes
    ) -> None:
        def status(**headers: str) -> int:  # of an upload that needs all the room
            url = f"{limited.native}/{prefix}/a"
            return client.put(url, content=bytes(3_000_000), headers=headers).status_code

        for _ in range(3):
            with connection(limited.url) as connected:
                connected.sendall(head("PUT", f"/v1/artifacts/{prefix}/a", framing) + body)
                wait_until(lambda: written(limited) >= len(body) // 2, "the upload has begun")
                assert status(**{"If-Match": '"other"'}) == 507
            wait_until(lambda: status(**{"If-Match": '"other"'}) == 412, "there is room again")
        assert status(**{"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}) == 400
        assert status() == 201


def test_a_root_whose_size_cannot_be_told_cheaply_has_none(
    no_variables: None, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ("--default-artifact-root", "s3://bucket/path", "--s3-region", "eu-central-1")
    assert command([*root, "--port", "0", "--quotas", '{"a/": 1}']) == 2
    message = capsys.readouterr().err
    assert "--quotas=" in message
    assert "use the store's own quotas" in message
