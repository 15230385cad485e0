"""An archive of very many members leaves others their turn, however few threads there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.archives import FORM, file_part, form
from tests.support.many_members import MANY, many_members, send_many, staged_members, stored_members
from tests.support.raw import connection, read_answer
from tests.support.server import Server, running
from tests.support.waiting import wait_until

HALF = MANY // 2


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With one thread for all of its storage, which does not wait for the disk beside."""
    flags = ("--storage-threads", "1", "--durability", "none")
    with running(tmp_path_factory.mktemp("single") / "root", *flags) as server:
        yield server


@contextmanager
def unpacking(server: Server, directory: str) -> Iterator[Callable[[], int]]:
    """Gives what waits for the status of the answer."""
    with connection(server.url) as connected:
        connected.settimeout(120)
        send_many(connected, directory, many_members())
        yield lambda: read_answer(connected).status


def test_others_are_served_while_it_is_staged(single: Server, client: httpx.Client, folder: str) -> None:
    with unpacking(single, folder) as status:
        wait_until(lambda: staged_members(single), "the first member is staged")
        assert client.get(f"{single.native}/other/").status_code == 200
        # All of it came in one batch of the body, which before was the least that had its turn.
        assert staged_members(single) < HALF
        assert client.put(f"{single.native}/other/{folder}", content=b"data").status_code == 201
        assert stored_members(single, folder) == 0
        assert status() == 201
    assert stored_members(single, folder) == MANY


def test_others_are_served_while_it_is_published(single: Server, client: httpx.Client, folder: str) -> None:
    with unpacking(single, folder) as status:
        wait_until(lambda: stored_members(single, folder), "the first member is published")
        assert client.get(f"{single.native}/other/").status_code == 200
        assert stored_members(single, folder) < MANY
        assert status() == 201
    assert stored_members(single, folder) == MANY


def test_files_that_a_form_refuses_take_nothing_of_a_quota(client: httpx.Client, tmp_path: Path) -> None:
    with running(tmp_path / "root", "--quotas", '{"users/a/": 3000}') as server:
        url = f"{server.native}/users/a/"
        made = f"{url}there/x"
        wait_until(lambda: client.put(made, content=b"").is_success, "what there is is measured")
        for _ in range(3):
            refused = client.post(url, content=form(file_part("there", bytes(2000))), headers=FORM)
            assert refused.status_code == 409
        whole = form(file_part("there", bytes(2900)), file_part("large", bytes(2700)))
        stored = client.post(url, content=whole, headers=FORM)
        assert stored.status_code == 409
        assert [file.get("size") for file in stored.json()["files"]] == [None, 2700]
