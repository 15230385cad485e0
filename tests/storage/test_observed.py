"""A storage that is observed is like the one below it, and each of its calls is counted as what it was.

That it keeps the contract is shown where the others do, in tests/storage/test_contract_*.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.errors import ArtifactNotFound, PathConflict, StorageFull, UploadNotFound
from app.paths import ArtifactPath
from app.storage.base import Batch, DirectTransfers, Download, MultipartUpload, Storage, Upload, UploadedPart
from app.storage.entry import Entry
from app.storage.observed import ObservedStorage
from app.storage.ranges import ByteRange, RangeNotSatisfiable
from tests.storage.conftest import opened
from tests.support.artifacts import get, names, path, put, stage
from tests.support.scraping import here

CALLS = "artifact_proxy_storage_call_duration_seconds_count"


class Direct:
    """Presigned URLs of no store."""

    def download(self, entry: Entry, disposition: str) -> str:
        return f"url of {entry.path} as {disposition}"

    def begin(self, at: ArtifactPath, parts: int) -> MultipartUpload:
        return MultipartUpload(f"upload to {at}", ["url"] * parts)

    def complete(self, at: ArtifactPath, upload_id: str, parts: list[UploadedPart]) -> None:
        raise UploadNotFound("There is none.")

    def abort(self, at: ArtifactPath, upload_id: str) -> None:
        pass


@pytest.fixture
def below(root: Path) -> Storage:
    return opened(root, durability="none")


@pytest.fixture
def observed(below: Storage) -> ObservedStorage:
    return ObservedStorage(below)


@pytest.fixture
def counted() -> Callable[[], dict[tuple[str, str], float]]:
    """Gives the calls since the test began, by operation and outcome."""

    def calls() -> dict[tuple[str, str], float]:
        return {
            (sample.labels["operation"], sample.labels["outcome"]): sample.value
            for sample in here().samples
            if sample.name == CALLS
        }

    before = calls()
    return lambda: {key: now - before.get(key, 0) for key, now in calls().items() if now > before.get(key, 0)}


Counted = Callable[[], dict[tuple[str, str], float]]


class TestInterface:
    """A method that the protocol gets, and the wrapper does not, is a call that nobody sees."""

    @pytest.fixture
    def wrappers(
        self, observed: ObservedStorage, below: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[dict[type, object]]:
        put(below, "a")
        monkeypatch.setattr(below, "direct", Direct())
        with (
            closing(observed.read(path("a"))) as download,
            observed.create(path("b")) as upload,
            observed.batch() as batch,
        ):
            yield {
                Storage: observed,
                Download: download,
                Upload: upload,
                Batch: batch,
                DirectTransfers: observed.direct,
            }

    @pytest.mark.parametrize("protocol", [Storage, Download, Upload, Batch, DirectTransfers])
    def test_it_is_that_of_the_protocol(self, wrappers: dict[type, object], protocol: type) -> None:
        wrapper = wrappers[protocol]
        wanted = {name for name in {*vars(protocol), *protocol.__annotations__} if is_public(name)}
        assert len(wanted) >= 4
        assert {name for name in dir(wrapper) if is_public(name)} == wanted
        for name in wanted & set(vars(protocol)):
            promised = vars(protocol)[name]
            if inspect.isfunction(promised):
                assert parameters(getattr(type(wrapper), name)) == parameters(promised), name


def is_public(name: str) -> bool:
    specials = {"__iter__", "__next__", "__enter__", "__exit__"}
    return name in specials or not name.startswith("_")


def parameters(function: Callable[..., Any]) -> list[tuple[str, object, object]]:
    return [(each.name, each.kind, each.default) for each in inspect.signature(function).parameters.values()]


class TestCalls:
    def test_what_succeeds_is_counted_by_its_operation(
        self, observed: ObservedStorage, counted: Counted
    ) -> None:
        put(observed, "a")
        assert get(observed, "a") == b"data"
        observed.stat(path("a"))
        assert names(observed) == ["a"]
        observed.delete(path("a"))
        observed.check()
        observed.room()
        observed.sweep()
        # A block is left by an abort, which does nothing where there was a commit.
        writing = ["create", "write", "commit", "abort"]
        operations = [*writing, "read", "read_chunk", "stat", "list", "delete", "check", "room", "sweep"]
        assert counted() == {(operation, "ok"): 1 for operation in operations}

    def test_what_fails_is_counted_by_its_error(self, observed: ObservedStorage, counted: Counted) -> None:
        put(observed, "a")
        with pytest.raises(ArtifactNotFound):
            observed.stat(path("none"))
        with pytest.raises(RangeNotSatisfiable):
            observed.read(path("a"), ByteRange(10, None))
        with pytest.raises(PathConflict):
            put(observed, "a/b")
        assert (
            counted().items()
            >= {
                ("stat", "artifact_not_found"): 1,
                ("read", "range_not_satisfiable"): 1,
                ("create", "path_conflict"): 1,
            }.items()
        )

    def test_a_defect_is_no_error_of_the_storage(
        self, observed: ObservedStorage, below: Storage, counted: Counted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken() -> None:
            raise RuntimeError("made by a test")

        monkeypatch.setattr(below, "check", broken)
        with pytest.raises(RuntimeError):
            observed.check()
        assert counted() == {("check", "defect"): 1}

    def test_each_chunk_is_a_call_and_their_end_is_none(
        self, observed: ObservedStorage, counted: Counted
    ) -> None:
        put(observed, "a", bytes(3_000_000))
        download = observed.read(path("a"))
        chunks = list(download)
        download.close()
        assert next(iter(download), None) is None
        assert len(chunks) > 1
        assert {key: count for key, count in counted().items() if key[0] == "read_chunk"} == {
            ("read_chunk", "ok"): len(chunks)
        }

    def test_a_listing_is_one_call_even_if_nobody_wants_its_rest(
        self, observed: ObservedStorage, counted: Counted
    ) -> None:
        for name in ("a", "b", "c"):
            put(observed, name)
        listed = observed.list(ArtifactPath())
        assert next(listed).path.name == "a"
        del listed
        assert counted()[("list", "ok")] == 1

    def test_so_is_the_publishing_of_a_batch(self, observed: ObservedStorage, counted: Counted) -> None:
        with observed.batch() as batch:
            for name in ("a", "b"):
                stage(batch, name)
            assert len(list(batch.judge())) == 2
            assert [str(one.path) for one in batch.publish()] == ["a", "b"]
        times = dict.fromkeys(["create", "write", "commit", "abort"], 2)
        times |= dict.fromkeys(["batch", "judge", "publish", "abort_batch"], 1)
        assert counted() == {(operation, "ok"): number for operation, number in times.items()}

    def test_of_a_batch_are_few_spans_however_many_uploads_it_has(
        self, observed: ObservedStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ended: list[tuple[str, Mapping[str, object]]] = []

        class Span(str):
            def end(self, attributes: Mapping[str, object], *, error: str | None = None) -> None:
                ended.append((self, attributes))

        monkeypatch.setattr("app.tracing.begin", Span)
        with observed.batch() as batch:
            for name in ("a", "b", "c"):
                stage(batch, name, b"12345")
            assert len(list(batch.publish())) == 3
        names = [name for name, _ in ended]
        assert names == ["storage.batch", "storage.writes", "storage.publish", "storage.abort_batch"]
        assert dict(ended)["storage.writes"]["artifact_proxy.storage.bytes"] == 15

    def test_so_are_direct_transfers(
        self, observed: ObservedStorage, below: Storage, counted: Counted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(below, "direct", Direct())
        direct = observed.direct
        assert direct is not None
        assert direct.download(Entry(path("a")), "inline") == "url of a as inline"
        assert direct.begin(path("a"), 2) == ("upload to a", ["url", "url"])
        direct.abort(path("a"), "id")
        with pytest.raises(UploadNotFound):
            direct.complete(path("a"), "id", [])
        assert counted() == {
            ("presign", "ok"): 1,
            ("begin_multipart", "ok"): 1,
            ("abort_multipart", "ok"): 1,
            ("complete_multipart", "upload_not_found"): 1,
        }

    def test_the_time_is_what_the_storage_took(
        self, observed: ObservedStorage, below: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = iter([100.0, 107.0])
        monkeypatch.setattr("app.storage.calls.perf_counter", lambda: next(clock))
        total = "artifact_proxy_storage_call_duration_seconds_sum"

        def told() -> float:
            return here().value(total, operation="stat")

        before = told()
        observed.stat(ArtifactPath())
        assert told() - before == pytest.approx(7)


class TestTransparency:
    def test_it_tells_what_the_storage_tells(
        self, observed: ObservedStorage, below: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in {"plain_files": "mark", "sweep_every": 17.0}.items():
            monkeypatch.setattr(below, name, value)
            assert getattr(observed, name) == value
        assert observed.url == below.url
        put(observed, "d/a", bytes(10))
        assert observed.usage is not None
        assert observed.usage(path("d")) == 10
        assert observed.room() is not None
        assert list(observed.rehearse()) == list(below.rehearse())

    def test_what_the_storage_cannot_do_it_cannot_either(
        self, observed: ObservedStorage, below: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(below, "usage", None)
        assert observed.usage is None
        assert observed.direct is None

    def test_an_upload_shows_whether_it_made_something_new(self, observed: ObservedStorage) -> None:
        for created in (True, False):
            with observed.create(path("a")) as upload:
                upload.write(b"x")
                assert upload.commit().size == 1
            assert upload.created is created

    def test_and_when_there_is_room_for_it(
        self, observed: ObservedStorage, below: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Waiting:
            ready: Future[None] = Future()

        monkeypatch.setattr(below, "create", lambda *_, **__: Waiting())
        assert observed.create(path("a")).ready is Waiting.ready

    def test_a_block_that_is_left_without_commit_aborts(self, observed: ObservedStorage) -> None:
        def fill() -> None:
            with observed.create(path("a")) as upload:
                upload.write(b"x")
                raise StorageFull("made by a test")

        with pytest.raises(StorageFull):
            fill()
        assert names(observed) == []
