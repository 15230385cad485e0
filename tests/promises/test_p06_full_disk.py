"""P6: an upload that finds no room is answered 507 and leaves nothing, and the old artifact survives."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import httpx
import pytest

from tests.support.guarded import told
from tests.support.interposer_actions import answer
from tests.support.raw import exchange, head
from tests.support.s3_chain import MIB, PART, PREFIX
from tests.support.s3_front import Front
from tests.support.server import Server, running
from tests.support.waiting import wait_until

FULL = (507, "QUOTA_EXCEEDED")
DISK = 8 * MIB
RESERVE = 3 * MIB


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.fixture(scope="module")
def small(need_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server over a disk that it may fill, of 8 MiB and 40 names."""
    disk = tmp_path_factory.mktemp("small") / "disk"
    with (
        mounted(disk, f"size={DISK},nr_inodes=40"),
        running(disk, "--disk-reserve", "0", "--quotas", '{"limited/": 1000}') as server,
    ):
        yield server


@pytest.fixture
def empty(small: Server, client: httpx.Client) -> Iterator[Server]:
    """The same, with one artifact, `d/old`."""
    client.put(f"{small.native}/d/old", content=b"old").raise_for_status()
    yield small
    client.delete(f"{small.native}/d").raise_for_status()


def chunked(size: int) -> Iterator[bytes]:
    """A body whose length is not announced."""
    for _ in range(size // MIB):
        yield bytes(MIB)


def only_the_old_one_is_there(server: Server) -> bool:
    return server.tree() == {"d/old": b"old"} and not server.staged() and not (server.root / "new").exists()


def take_all_names(directory: Path) -> None:
    directory.mkdir()
    for number in count():
        (directory / f"{number}").touch()


def take_all_room(place: Path) -> None:
    with place.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@pytest.mark.parametrize("path", ["d/old", "new/a"])
def test_p06_a_disk_that_gets_full_answers_507_and_keeps_the_old_artifact(
    empty: Server, client: httpx.Client, path: str
) -> None:
    assert told(client.put(f"{empty.native}/{path}", content=chunked(2 * DISK))) == FULL
    wait_until(lambda: not empty.staged(), "nothing of the upload is left")
    assert only_the_old_one_is_there(empty)
    assert client.get(f"{empty.native}/d/old").content == b"old"
    assert client.put(f"{empty.native}/d/old", content=chunked(DISK // 2)).status_code == 200


def test_p06_what_is_announced_and_has_no_room_is_refused_before_its_body(empty: Server) -> None:
    request = head("PUT", "/v1/artifacts/d/old", f"Content-Length: {2 * DISK}", "Expect: 100-continue")
    assert exchange(empty.url, request).status == 507  # and no 100 before it
    assert only_the_old_one_is_there(empty)


def test_p06_a_disk_without_names_left_answers_507_until_there_are_some_again(
    empty: Server, client: httpx.Client
) -> None:
    client.put(f"{empty.native}/d/other", content=b"x").raise_for_status()
    names = empty.root / "names"
    try:
        with pytest.raises(OSError, match="No space left"):
            take_all_names(names)
        assert told(client.put(f"{empty.native}/d/old", content=b"new")) == FULL
        assert told(client.put(f"{empty.native}/new/a", content=b"new")) == FULL
        assert client.get(f"{empty.native}/d/old").content == b"old"
        assert empty.staged() == []
        client.delete(f"{empty.native}/d/other").raise_for_status()
        assert client.put(f"{empty.native}/d/old", content=b"new").status_code == 200
    finally:
        shutil.rmtree(names)


def test_p06_a_disk_that_others_fill_answers_507_until_they_make_room(
    empty: Server, client: httpx.Client
) -> None:
    others = empty.root / "others"
    try:
        with pytest.raises(OSError, match="No space left"):
            take_all_room(others)
        assert told(client.put(f"{empty.native}/d/old", content=b"new")) == FULL
        assert told(client.put(f"{empty.native}/new/a", content=iter([b"new"]))) == FULL
    finally:
        others.unlink()
    assert only_the_old_one_is_there(empty)
    assert client.put(f"{empty.native}/d/old", content=b"new").status_code == 200


def test_p06_a_quota_that_is_used_up_answers_507_and_keeps_what_is_there(
    empty: Server, client: httpx.Client
) -> None:
    url = f"{empty.native}/limited/a"
    wait_until(lambda: client.put(url, content=b"old").is_success, "the quota was measured")
    assert told(client.put(url, content=bytes(1001))) == FULL
    assert told(client.put(url, content=iter([bytes(1001)]))) == FULL
    assert client.get(url).content == b"old"
    assert empty.staged() == []
    client.delete(url).raise_for_status()


@pytest.fixture(scope="module")
def reserved(need_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server over a disk of which it leaves some free."""
    disk = tmp_path_factory.mktemp("reserved") / "disk"
    with mounted(disk, f"size={DISK}"), running(disk, "--disk-reserve", str(RESERVE)) as server:
        yield server


@pytest.mark.parametrize("body", [lambda size: bytes(size), chunked], ids=["announced", "chunked"])
def test_p06_uploads_stop_before_the_disk_is_full(
    reserved: Server, client: httpx.Client, folder: str, body: Callable[[int], bytes | Iterator[bytes]]
) -> None:
    url = f"{reserved.native}/{folder}"
    client.put(f"{url}/old", content=b"old").raise_for_status()
    for name in ("old", "new/a"):
        assert told(client.put(f"{url}/{name}", content=body(DISK - RESERVE + MIB))) == FULL
    wait_until(lambda: not reserved.staged(), "nothing of the uploads is left")
    assert reserved.tree() == {f"{folder}/old": b"old"}
    assert client.put(f"{url}/old", content=body(DISK - RESERVE - MIB)).status_code == 200
    assert told(client.put(f"{url}/more", content=body(2 * MIB))) == FULL
    client.delete(url).raise_for_status()


@pytest.mark.parametrize(
    ("operation", "size"),
    [("PutObject", 1000), ("CreateMultipartUpload", PART + 1), ("UploadPart", PART + 1)],
)
def test_p06_a_store_whose_quota_is_used_up_answers_507_and_keeps_the_old_artifact(
    front: Front, folder: str, operation: str, size: int
) -> None:
    front.put(f"{folder}/a", b"old").raise_for_status()
    key = f"{PREFIX}{folder}/a"
    refused = front.interposer.on(
        lambda request: request.operation == operation and request.key == key,
        answer(403, "QuotaExceeded"),
        times=None,
    )
    assert told(front.put(f"{folder}/a", bytes(size))) == FULL
    assert refused.used
    front.interposer.forget_rules()
    assert front.get(f"{folder}/a").content == b"old"
    wait_until(lambda: not front.leftovers(), "nothing of the upload is left")
    assert front.put(f"{folder}/a", bytes(size)).status_code == 200
