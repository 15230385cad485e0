"""Two servers over one root: what one has stored, the other one has as well, from that moment on."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import NamedTuple

import pytest

from app.errors import ArtifactNotFound, PathConflict, PreconditionFailed
from app.storage.base import Storage
from app.storage.entry import Precondition
from app.storage.s3 import places
from tests.support.artifacts import get, names, path, paths, put
from tests.support.object_store import ObjectStore
from tests.support.s3_chain import opened

CREATE_ONLY = Precondition(none_match="*")


class Replicas(NamedTuple):
    one: Storage
    other: Storage


@pytest.fixture
def replicas(object_store: ObjectStore, bucket: str) -> Iterator[Replicas]:
    with (
        closing(opened(object_store, object_store.url, bucket)) as one,
        closing(opened(object_store, object_store.url, bucket)) as other,
    ):
        yield Replicas(one, other)


class TestPathConflicts:
    def test_with_what_another_server_has_stored_are_noticed(self, replicas: Replicas) -> None:
        one, other = replicas
        put(one, "a")
        put(one, "d/e/x")
        for conflicting in ("a/b", "a/b/c", "d", "d/e", "d/e/x/y"):
            with pytest.raises(PathConflict):
                put(other, conflicting)
        assert paths(other) == ["a", "d/e/x"]

    def test_are_noticed_when_they_came_during_an_upload(
        self, replicas: Replicas, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(places, "_FRESH_SECONDS", 0)  # a look at the start is an old one at the end
        one, other = replicas
        with one.create(path("d")) as upload:
            upload.write(b"x")
            put(other, "d/x")
            with pytest.raises(PathConflict):
                upload.commit()
        assert paths(one) == ["d/x"]

    def test_are_over_once_what_was_there_is_deleted(
        self, replicas: Replicas, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = replicas
        put(one, "d/x")
        put(other, "d/y")
        one.delete(path("d"))
        put(other, "d")
        assert paths(one) == ["d"]
        other.delete(path("d"))
        put(one, "d/x")
        assert paths(other) == ["d/x"]

    def test_with_a_directory_that_another_server_made_a_file_are_noticed_after_a_while(
        self, replicas: Replicas, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(places, "_FRESH_SECONDS", 0)
        one, other = replicas
        put(one, "d/x")
        other.delete(path("d"))
        put(other, "d")
        with pytest.raises(PathConflict):
            put(one, "d/x")


class TestAFinishedWrite:
    def test_is_seen_by_whatever_comes_after_it(self, replicas: Replicas) -> None:
        chance = random.Random(17)  # noqa: S311 - the same history each time
        expected: dict[str, bytes] = {}
        known = [f"d{number}/{name}" for number in range(2) for name in "abc"]
        for step in range(150):
            storage = chance.choice(replicas)
            name = chance.choice(known)
            action = chance.choice(["put", "create", "delete", "get", "list", "walk", "delete tree"])
            data = b"%d" % step
            if action == "put":
                put(storage, name, data)
                expected[name] = data
            elif action == "create" and name in expected:
                with pytest.raises(PreconditionFailed):
                    put(storage, name, data, CREATE_ONLY)
            elif action == "create":
                put(storage, name, data, CREATE_ONLY)
                expected[name] = data
            elif action == "delete":
                storage.delete(path(name))
                expected.pop(name, None)
            elif action == "delete tree" and step % 5 == 0:
                storage.delete(path(name[:2]))
                expected = {key: value for key, value in expected.items() if key[:2] != name[:2]}
            elif action == "get" and name in expected:
                assert get(storage, name) == expected[name]
            elif action == "get":
                with pytest.raises(ArtifactNotFound):
                    storage.stat(path(name))
            elif action == "list":
                assert names(storage, name[:2]) == sorted(key[3:] for key in expected if key[:2] == name[:2])
            else:
                assert paths(storage) == sorted(expected)

    def test_is_never_followed_by_an_older_one(self, replicas: Replicas) -> None:
        """Registers with one writer each: a read gives what was finished before it began, or later."""
        registers = [f"d/{number}" for number in range(3)]
        finished = dict.fromkeys(registers, -1)
        over = threading.Event()

        def write(name: str) -> None:
            for version in range(15):
                put(replicas[version % 2], name, b"%d" % version)
                finished[name] = version

        def read(reader: int) -> int:
            count = 0
            while not over.is_set():
                name = registers[count % len(registers)]
                before = finished[name]
                storage = replicas[(reader + count) % 2]
                try:
                    version = int(get(storage, name))
                except ArtifactNotFound:
                    version = -1
                assert version >= before
                if before >= 0:
                    assert name[2:] in names(storage, "d")
                count += 1
            return count

        with ThreadPoolExecutor(5) as pool:
            readers = [pool.submit(read, number) for number in range(2)]
            try:
                list(pool.map(write, registers))
            finally:
                over.set()
            assert all(reader.result() for reader in readers)
        assert {name: get(replicas.one, name) for name in registers} == dict.fromkeys(registers, b"14")

    def test_that_demands_to_be_the_first_is_won_by_one(self, replicas: Replicas) -> None:
        def create(number: int) -> int:
            try:
                put(replicas[number % 2], "a", b"%d" % number, CREATE_ONLY)
            except PreconditionFailed:
                return -1
            return number

        with ThreadPoolExecutor(6) as pool:
            (winner,) = {*pool.map(create, range(12))} - {-1}
        assert get(replicas.one, "a") == b"%d" % winner
