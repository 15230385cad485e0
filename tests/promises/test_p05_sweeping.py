"""P5: whoever sweeps a root never removes an upload that lives, in whichever process it does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from app.storage.base import Storage
from app.storage.local import LocalSettings, LocalStorage, open_storage
from tests.support.artifacts import get, path, put
from tests.support.object_store import ObjectStore
from tests.support.raw import connection, head, read_answer
from tests.support.repeating import repeating
from tests.support.s3_chain import PART, PREFIX, chained
from tests.support.server import Server
from tests.support.waiting import wait_until

AGE = 3
"""Seconds after which an upload to S3 that nobody renews is swept; the store's clock counts whole ones."""
LARGE = b"x" * (2 * PART + 1)


class Sweeper:
    """Sweeps all the time, as another worker."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.times = 0
        self.swept = 0

    def sweep(self) -> None:
        self.swept += self._storage.sweep()
        self.times += 1


@contextmanager
def sweeping(storage: Storage) -> Iterator[Sweeper]:
    sweeper = Sweeper(storage)
    with repeating(sweeper.sweep, 0.02):
        yield sweeper


def another(root: Path) -> LocalStorage:
    """Another server's storage over the same root."""
    return open_storage(str(root), LocalSettings(), read_only=False)


def test_p05_an_upload_as_slow_as_may_be_lives_through_the_sweeping_of_another_server(
    server: Server, client: httpx.Client, folder: str
) -> None:
    data = bytes(range(256)) * 4096
    with sweeping(another(server.root)) as sweeper, connection(server.url) as connected:
        connected.sendall(head("PUT", f"/v1/artifacts/{folder}/a", f"Content-Length: {len(data)}"))
        wait_until(server.staged, "the upload has begun")
        (server.staging / "leftover").write_bytes(b"x")
        for start in range(0, len(data), len(data) // 8):
            connected.sendall(data[start : start + len(data) // 8])
            times = sweeper.times
            wait_until(lambda times=times: sweeper.times > times + 1, "there was a whole sweep")  # type: ignore[misc]
            assert "leftover" not in server.staged()
        assert read_answer(connected).status == 201
    assert sweeper.swept == 1, "and only what was left over"
    assert client.get(f"{server.native}/{folder}/a").content == data


def test_p05_uploads_that_come_and_go_are_stored_beside_a_sweeper(tmp_path: Path) -> None:
    """One whose file is taken at once, before it is locked, makes another."""
    storage = another(tmp_path / "root")
    with sweeping(another(tmp_path / "root")) as sweeper:
        wait_until(lambda: sweeper.times, "the sweeper is at work")
        for number in range(50):
            put(storage, f"d/{number}", b"%d" % number)
    assert all(get(storage, f"d/{number}") == b"%d" % number for number in range(50))


def test_p05_a_file_between_its_creation_and_its_lock_that_is_swept_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = another(tmp_path / "root")
    real_open = os.open
    swept: list[int] = []

    def open_and_sweep(name: str, flags: int, *args: object, **options: object) -> int:
        descriptor = real_open(name, flags, *args, **options)  # type: ignore[arg-type]
        if flags & os.O_EXCL and len(swept) < 3:
            swept.append(another(tmp_path / "root").sweep())
        return descriptor

    monkeypatch.setattr(os, "open", open_and_sweep)
    put(storage, "a", b"data")
    assert swept == [1, 1, 1]
    assert get(storage, "a") == b"data"


def test_p05_an_upload_of_the_same_process_lives_as_well(tmp_path: Path) -> None:
    storage = another(tmp_path / "root")
    with storage.create(path("a")) as upload:
        upload.write(b"da")
        assert storage.sweep() == another(tmp_path / "root").sweep() == 0
        upload.write(b"ta")
        upload.commit()
    assert get(storage, "a") == b"data"


def test_p05_with_s3_an_upload_slower_than_what_is_swept_is_renewed_and_lives(
    serve: Callable[..., Server], object_store: ObjectStore, bucket: str
) -> None:
    age = ("--s3-abandoned-upload-age", str(AGE), "--sweep-interval", "0.2")
    server = serve(
        "--s3-part-size", str(PART), *age, root=f"s3://{bucket}/{PREFIX}", **object_store.environment()
    )
    with (
        chained(object_store, bucket, s3_abandoned_upload_age=AGE) as chain,
        sweeping(chain.storage) as sweeper,
        connection(server.url) as connected,
    ):
        connected.sendall(head("PUT", "/v1/artifacts/a", f"Content-Length: {len(LARGE)}") + LARGE[:-1])
        wait_until(chain.own, "the upload has begun")
        (record,) = chain.own()

        def written() -> float:
            found = chain.direct.head_object(Bucket=bucket, Key=f"{PREFIX}{record}")
            return found["LastModified"].timestamp()

        begun = written()
        wait_until(lambda: written() > begun + AGE, "it has become older than what is swept")
        connected.sendall(LARGE[-1:])
        assert read_answer(connected).status == 201
        assert chain.artifacts() == {"a": LARGE}
        assert chain.leftovers() == []
    assert sweeper.times > 3
    assert sweeper.swept == 0
