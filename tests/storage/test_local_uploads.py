"""How an upload's bytes get into its file: all of them, and to the disk before all have come."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest

from app.errors import StorageError, StorageFull
from app.storage.local import LocalStorage
from tests.storage.conftest import opened
from tests.support.artifacts import get, path, put
from tests.support.server import Server
from tests.support.strace import SystemCall, attached, read_calls

MIB = 1024 * 1024
PIECES = [b"one", b"", bytes(range(256)) * 100, b"two"]
ALL = b"".join(PIECES)


class TestShortWrites:
    """A file takes less than it is given where a signal comes, or the disk gets full."""

    @pytest.mark.parametrize("most", [1, 3, 5, 1000, len(ALL) - 1])
    def test_lose_nothing(self, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
        write = os.write
        gathered: list[int] = []

        def short(descriptor: int, pieces: Sequence[bytes]) -> int:
            gathered.append(write(descriptor, b"".join(pieces)[:most]))
            return gathered[-1]

        monkeypatch.setattr(os, "writev", short)
        monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[: most * 50]))
        with storage.create(path("a")) as upload:
            upload.write(*PIECES)
            upload.write(b"!")
            upload.commit()
        assert gathered == [most, 1]
        assert get(storage, "a") == ALL + b"!"

    def test_before_a_full_disk_are_no_artifact(
        self, root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(descriptor: int, data: bytes) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "writev", lambda descriptor, pieces: 4)
        monkeypatch.setattr(os, "write", full)
        with storage.create(path("a")) as upload, pytest.raises(StorageFull):
            upload.write(*PIECES)
        assert os.listdir(root) == [".artifact-proxy"]

    def test_of_nothing_make_no_call(self, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
        def unexpected(descriptor: int, pieces: Sequence[bytes]) -> int:
            raise AssertionError("it was called")

        monkeypatch.setattr(os, "writev", unexpected)
        with storage.create(path("a")) as upload:
            upload.write()
            upload.write(b"", b"")
            assert upload.commit().size == 0


class TestWriteback:
    """With durability, what has come of a large upload is on its way to the disk before the rest comes."""

    @pytest.fixture
    def begun(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
        """The ranges that are asked for. The call itself fails."""
        ranges: list[tuple[int, int]] = []

        def failing(descriptor: int, start: ctypes.c_int64, length: ctypes.c_int64, flags: int) -> int:
            assert flags == 2
            ranges.append((start.value, length.value))
            return -1

        monkeypatch.setattr("app.storage.local.writeback._sync_file_range", failing)
        return ranges

    def put_in_steps(self, storage: LocalStorage, sizes: Sequence[int]) -> None:
        with storage.create(path("a")) as upload:
            for size in sizes:
                upload.write(bytes(size // 2), bytes(size - size // 2))
            upload.commit()
        assert get(storage, "a") == bytes(sum(sizes))

    @pytest.mark.parametrize(
        ("sizes", "expected"),
        [
            ([8 * MIB - 1], []),
            ([8 * MIB], [(0, 8 * MIB)]),
            ([MIB] * 7, []),
            ([3 * MIB] * 7, [(0, 9 * MIB), (9 * MIB, 9 * MIB)]),
            ([20 * MIB, 1, 8 * MIB], [(0, 20 * MIB), (20 * MIB, 8 * MIB + 1)]),
        ],
        ids=str,
    )
    def test_begins_with_each_eight_mebibytes_and_may_fail(
        self,
        *,
        storage: LocalStorage,
        begun: list[tuple[int, int]],
        sizes: Sequence[int],
        expected: list[tuple[int, int]],
    ) -> None:
        self.put_in_steps(storage, sizes)
        assert begun == expected

    def test_never_begins_without_durability(self, root: Path, begun: list[tuple[int, int]]) -> None:
        self.put_in_steps(opened(root, durability="none"), [20 * MIB])
        assert begun == []

    def test_is_done_without_where_the_system_has_no_such_call(
        self, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.storage.local.writeback._sync_file_range", None)
        self.put_in_steps(storage, [9 * MIB])

    @pytest.mark.parametrize(("number", "is_lost"), [(5, True), (28, True), (38, False), (22, False)])
    def test_tells_of_bytes_that_are_lost_and_of_nothing_else(
        self, *, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, number: int, is_lost: bool
    ) -> None:
        def failing(*_: object) -> int:
            ctypes.set_errno(number)
            return -1

        monkeypatch.setattr("app.storage.local.writeback._sync_file_range", failing)
        told = pytest.raises(StorageError) if is_lost else nullcontext()
        with storage.create(path("a")) as upload, told:
            upload.write(bytes(8 * MIB))

    def test_hides_no_failure_of_the_disk(
        self, storage: LocalStorage, begun: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(descriptor: int) -> None:
            raise OSError(5, "Input/output error")

        put(storage, "b")
        monkeypatch.setattr(os, "fsync", fail)
        with storage.create(path("a")) as upload:
            upload.write(bytes(8 * MIB))
            with pytest.raises(StorageError):
                upload.commit()
        assert begun

    def test_of_a_server_comes_before_the_rest_of_the_body_and_the_sync(
        self,
        *,
        server: Server,
        client: httpx.Client,
        folder: str,
        need: Callable[[str], str],
        need_root: None,
        tmp_path: Path,
    ) -> None:
        log = tmp_path / "strace.log"
        trace = ("-e", "trace=writev,sync_file_range,fsync")
        client.get(f"{server.url}/health")
        with attached(need("strace"), server.process.pid, log, *trace):
            client.put(f"{server.native}/{folder}/a", content=bytes(12 * MIB)).raise_for_status()
            client.put(f"{server.native}/{folder}/b", content=bytes(MIB)).raise_for_status()
        calls = read_calls(log)
        [begun] = [call for call in calls if call.name == "sync_file_range"]
        file = staged(begun)
        told = re.search(r", 0, (\d+), SYNC_FILE_RANGE_WRITE\) += 0$", begun.text)
        assert told
        assert 8 * MIB <= int(told[1]) < 12 * MIB
        same = [call for call in calls if staged(call) == file]
        assert same[-1].name == "fsync"
        assert {call.name for call in same if call.began > begun.ended} == {"writev", "fsync"}


def staged(call: SystemCall) -> str | None:
    """The name of the upload's file that is meant."""
    found = re.search(r"<[^>]*/staging/(\w+)>", call.text)
    return found and found[1]
