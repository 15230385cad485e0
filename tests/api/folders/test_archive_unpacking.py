"""How an archive is taken apart while it comes: what waits, what is counted, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import pairwise

import pytest

from app.api.folders import unpacking as under_test
from app.api.folders.forms import FormReader
from app.api.folders.outcomes import ArchiveOutcome, FormOutcome, Outcome, Unpacked
from app.api.folders.unpacking import SLICE_SECONDS, STEP_BYTES, UNPACKING_BYTES, Unpacking
from app.api.quotas import Reservations
from app.api.records import StoredRecords
from app.api.visit import Visit
from app.archives.formats import FORMATS, ArchiveReader
from app.audit import AuditLog
from app.errors import InvalidRequest, PathConflict, RequestTooLarge, ServerBusy, StorageError
from app.paths import ArtifactPath
from app.storage.base import Published
from app.storage.entry import Entry, Precondition
from tests.support.archives import BOUNDARY, file_part, form, packed
from tests.support.artifacts import path
from tests.support.unlimited import boundless

NAMES = [str(number) for number in range(6)]
RECORDS = StoredRecords(AuditLog(""), Visit("id"))
"""Which nobody reads."""


class Staged:
    """A batch that keeps nothing, and whose uploads may have to wait for room."""

    created = True

    def __init__(self, ready: Future[None] | None = None, refused: str = "") -> None:
        """`refused`: a path at which nothing can be stored."""
        self.paths: list[str] = []
        self.written: list[bytes] = []
        self.ready = ready
        self.refused = refused
        self.calls: list[str] = []

    def create(self, at: ArtifactPath, *, size: int | None, precondition: Precondition) -> Staged:
        if str(at) == self.refused:
            raise PathConflict("It is a directory.")
        self.paths.append(str(at))
        return self

    def write(self, *pieces: bytes) -> None:
        self.written += pieces

    def commit(self) -> None:
        self.calls.append("commit")

    def judge(self) -> Iterator[None]:
        for _ in self.paths:
            self.calls.append("judge")
            yield

    def publish(self) -> Iterator[Published]:
        for each in self.paths:
            self.calls.append("publish")
            yield Published(path(each), Entry(path(each), size=1), created=True, error=None)

    def abort(self) -> None:
        self.calls.append("abort")


def unpacking_to(
    staged: Staged,
    outcome: Outcome[object],
    reader: ArchiveReader,
    *,
    together: bool = True,
    grow: Callable[[ArtifactPath, int], None] | None = None,
) -> Unpacking[object]:
    room = Reservations({})
    if grow is not None:
        room.grow = grow  # type: ignore[method-assign, assignment]  # to be told of it
    return Unpacking(
        reader,
        staged,  # type: ignore[arg-type]  # it has what is used
        ArtifactPath(),
        outcome,
        together=together,
        require=lambda path: None,
        precondition=Precondition(),
        max_size=0,
        room=room,
        transfer=boundless(),
    )


def unpacking(staged: Staged) -> Unpacking[object]:
    return unpacking_to(staged, ArchiveOutcome(RECORDS), FORMATS["tar"].reader())


def committed(sink: Unpacking[object]) -> object:
    """What comes of it, in however many slices."""
    while (outcome := sink.commit()) is None:
        pass
    return outcome


class TestUpload:
    def test_it_stops_at_each_upload_that_has_to_wait_and_goes_on_from_there(self) -> None:
        staged = Staged(Future())
        sink = unpacking(staged)
        content = packed("tar", {"a": b"1", "b": b"2", "c": b"3"})
        assert sink.write(content)
        assert (staged.paths, staged.written) == (["a"], [])
        assert sink.ready is staged.ready
        assert staged.ready
        first, staged.ready = staged.ready, Future()
        first.set_result(None)
        assert sink.write()
        assert (staged.paths, staged.written) == (["a", "b"], [b"1"])
        staged.ready.set_result(None)
        assert not sink.write()
        assert b"".join(staged.written) == b"123"
        assert committed(sink) == Unpacked(3, 3)

    def test_it_takes_no_more_files_than_it_may(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("app.api.folders.unpacking.MAX_FILES", 3)
        for count in (3, 4):
            sink = unpacking(Staged())
            content = packed("tar", {str(number): b"" for number in range(count)})
            if count == 3:
                assert not sink.write(content)
            else:
                with pytest.raises(RequestTooLarge, match="more than 3 files"):
                    sink.write(content)

    def test_what_it_holds_is_counted_and_refused_where_others_have_the_memory(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sink = unpacking(Staged())

        def refuse(size: int) -> None:
            if size > UNPACKING_BYTES + 100_000:
                raise ServerBusy("no memory", "memory")

        monkeypatch.setattr(sink._transfer, "grow_to", refuse)
        with pytest.raises(ServerBusy):
            sink.write(packed("tar", {f"{'x' * 200}{number}": b"" for number in range(100)}))

    @pytest.mark.parametrize(
        "names", [["a", "a"], ["a", "a/b"], ["a/b", "a"], ["a/b/c", "a-", "a"], ["x", "x/y/z", "x-"]]
    )
    def test_files_that_cannot_be_together_are_refused(self, names: list[str]) -> None:
        sink = unpacking(Staged())

        def take() -> None:
            sink.write(packed("tar", [(name, b"") for name in names]))
            committed(sink)

        with pytest.raises(InvalidRequest, match=r"twice|directory of"):
            take()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """On which each look takes more than half a slice."""
    now = [0.0]

    def look() -> float:
        now[0] += SLICE_SECONDS * 0.6
        return now[0]

    monkeypatch.setattr(under_test, "monotonic", look)


@pytest.mark.usefixtures("clock")
class TestSlices:
    """A thread is handed back after a slice, whatever is left to do."""

    def test_of_staging_have_few_steps(self) -> None:
        staged = Staged()
        sink = unpacking(staged)
        slices = [len(staged.paths)]
        more = sink.write(packed("tar", dict.fromkeys(NAMES, b"x")))
        while more:
            slices.append(len(staged.paths))
            more = sink.write()
        assert staged.paths == NAMES
        assert max(after - before for before, after in pairwise(slices)) == 1

    def test_of_judging_and_of_publishing_have_few_steps(self) -> None:
        staged = Staged()
        sink = unpacking(staged)
        more = sink.write(packed("tar", dict.fromkeys(NAMES, b"x")))
        while more:
            more = sink.write()
        staged.calls.clear()
        done = [0]
        while (outcome := sink.commit()) is None:
            done.append(len(staged.calls))
        assert outcome == Unpacked(6, 6)
        assert staged.calls == ["judge"] * 6 + ["publish"] * 6 + ["abort"]
        assert max(after - before for before, after in pairwise(done)) <= 2

    def test_end_within_a_large_piece_which_is_not_written_crumb_by_crumb(self) -> None:
        staged = Staged()
        sink = unpacking_to(staged, FormOutcome(RECORDS), FormReader(BOUNDARY.encode()))
        large = form(file_part("a", b"\r\n--bX" * STEP_BYTES))
        more, slices = sink.write(large), 0
        while more:
            slices += 1
            more = sink.write()
        assert slices >= len(large) // STEP_BYTES // 2
        assert sum(map(len, staged.written)) == 6 * STEP_BYTES
        assert max(map(len, staged.written)) <= STEP_BYTES + len(BOUNDARY) + 4
        assert len(staged.written) <= len(large) // STEP_BYTES + 2

    def test_may_be_followed_by_an_abort_at_any_of_them(self) -> None:
        for stop in range(40):
            staged = Staged()
            sink = unpacking(staged)
            content = packed("tar", dict.fromkeys(NAMES, b"x"))
            more, slices = sink.write(content), 1
            while more and slices < stop:
                more, slices = sink.write(), slices + 1
            while not more and slices < stop and sink.commit() is None:
                slices += 1
            sink.abort()
            assert staged.calls[-1] == "abort"
            published = staged.calls.count("publish")
            with pytest.raises(StorageError, match="none") as raised:
                sink.broken_off(StorageError("none"))
            said = [f"At least {published} of 6 artifacts were stored."] if published else []
            assert getattr(raised.value, "__notes__", []) == said
        assert published == 6


def test_what_is_refused_takes_no_room() -> None:
    taken: list[tuple[str, int]] = []
    sink = unpacking_to(
        Staged(refused="b"),
        FormOutcome(RECORDS),
        FormReader(BOUNDARY.encode()),
        together=False,
        grow=lambda at, size: taken.append((str(at), size)),
    )
    assert not sink.write(form(file_part("a", b"123"), file_part("b", b"12345"), file_part("c", b"1")))
    assert [each for each in taken if each[1]] == [("a", 3), ("c", 1)]
    told = committed(sink)
    assert isinstance(told, list)
    assert [(str(each.path), type(each.error)) for each in told] == [
        ("a", type(None)),
        ("b", PathConflict),
        ("c", type(None)),
    ]
