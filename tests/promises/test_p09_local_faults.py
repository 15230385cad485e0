"""P9, for a local root: each system call that fails while something is read is the right answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from app.storage.local.download import CHUNK_BYTES
from tests.support.guarded import told
from tests.support.server import Server
from tests.support.strace import attached

LARGE = bytes(4 * CHUNK_BYTES)
BROKEN = (500, "INTERNAL_ERROR")

Failing = Callable[[str, str], AbstractContextManager[None]]


@pytest.fixture
def failing(server: Server, need: Callable[[str], str], need_root: None, tmp_path: Path) -> Failing:
    """Makes these system calls of the server fail within a block; at least one must be made."""

    @contextmanager
    def injected(calls: str, fault: str) -> Iterator[None]:
        log = tmp_path / "log"
        options = ("-e", f"trace={calls}", "-e", f"inject={calls}:{fault}")
        with attached(need("strace"), server.process.pid, log, *options):
            yield
        assert "(INJECTED)" in log.read_text()

    return injected


@pytest.fixture
def directory(server: Server, client: httpx.Client, folder: str) -> str:
    """The URL of one with an artifact in it, and one below."""
    url = f"{server.native}/{folder}"
    for name in ("a", "d/x"):
        client.put(f"{url}/{name}", content=LARGE).raise_for_status()
    return url


def asked(client: httpx.Client, directory: str) -> Iterator[httpx.Response]:
    yield client.get(f"{directory}/a")
    yield from listed(client, directory)


def listed(client: httpx.Client, directory: str) -> Iterator[httpx.Response]:
    yield client.get(f"{directory}/")
    yield client.get(f"{directory}/", params={"recursive": "true"})


def assert_unharmed(client: httpx.Client, directory: str) -> None:
    assert client.get(f"{directory}/a").content == LARGE
    assert [entry["name"] for entry in client.get(f"{directory}/").json()["entries"]] == ["a", "d"]


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        ("EIO", BROKEN),
        ("EACCES", (403, "PERMISSION_DENIED")),
        ("ESTALE", (503, "TEMPORARILY_UNAVAILABLE")),
    ],
)
def test_p09_what_cannot_be_opened_has_its_status_and_tells_no_paths(
    *,
    server: Server,
    client: httpx.Client,
    failing: Failing,
    directory: str,
    error: str,
    answer: tuple[int, str],
) -> None:
    with failing("openat,openat2", f"error={error}"):
        answers = [*asked(client, directory), client.head(f"{directory}/a")]
    *full, examined = answers
    assert [told(each) for each in full] == [answer] * len(full)
    assert examined.status_code == answer[0]
    for each in answers:
        assert ("retry-after" in each.headers) is (answer[0] == 503)
        assert str(server.root) not in each.text
    assert_unharmed(client, directory)


def test_p09_a_directory_that_cannot_be_read_is_no_empty_one(
    client: httpx.Client, failing: Failing, directory: str
) -> None:
    with failing("getdents64", "error=EIO"):
        assert [told(each) for each in listed(client, directory)] == [BROKEN] * 2
    with failing("getdents64", "error=EIO:when=3+"):  # the directory itself takes two, then comes that below
        assert told(client.get(f"{directory}/", params={"recursive": "true"})) == BROKEN
    assert_unharmed(client, directory)


def test_p09_a_disk_that_fails_before_an_answer_has_begun_is_an_error(
    client: httpx.Client, failing: Failing, directory: str
) -> None:
    with failing("pread64,preadv2", "error=EIO"):
        assert told(client.get(f"{directory}/a")) == BROKEN
    assert_unharmed(client, directory)


def test_p09_one_that_fails_in_the_middle_leaves_a_download_visibly_short(
    server: Server, client: httpx.Client, failing: Failing, directory: str
) -> None:
    # Calls are counted for each thread, so there are more chunks than threads.
    content, pieces = bytes(40 * CHUNK_BYTES), list[bytes]()
    client.put(f"{directory}-large", content=content).raise_for_status()
    with (
        failing("pread64,preadv2", "error=EIO:when=2+"),
        client.stream("GET", f"{directory}-large") as answer,
    ):
        assert answer.status_code == 200
        assert int(answer.headers["content-length"]) == len(content)
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
            pieces.extend(answer.iter_raw())
    assert 0 < sum(map(len, pieces)) <= 33 * CHUNK_BYTES
    assert "Cut the download of" in server.log()
    assert_unharmed(client, directory)
