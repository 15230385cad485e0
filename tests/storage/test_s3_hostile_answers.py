"""Answers of stores that are wrong or odd: an error of the domain, and nothing done that nobody wanted."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest

from app.errors import StorageMisbehaved, StorageTimeout, StorageUnreachable
from app.storage.base import Storage
from app.storage.entry import Precondition
from app.storage.s3 import publishing
from tests.support.artifacts import get, names, path, paths, put
from tests.support.interposer_actions import Action, cut_after_forwarding, hang, refuse
from tests.support.interposer_exchange import Exchange, Request
from tests.support.object_store import ObjectStore
from tests.support.s3_chain import PREFIX, RECORDS, Chain, chained

CREATE_ONLY = Precondition(none_match="*")
SPELLED = "X-Amz-Meta-Artifact-Proxy-Upload"
MODIFIED = "2024-02-03T04:05:06.000Z"


@pytest.fixture
def chain(object_store: ObjectStore, bucket: str) -> Iterator[Chain]:
    with chained(object_store, bucket) as opened:
        yield opened


def contents(key: str, size: str = "1", modified: str = MODIFIED) -> str:
    fields = f"<LastModified>{modified}</LastModified><ETag>&quot;e&quot;</ETag><Size>{size}</Size>"
    return f"<Contents><Key>{key}</Key>{fields}</Contents>"


def common_prefix(prefix: str) -> str:
    return f"<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>"


def listing(inside: Callable[[str], str]) -> Action:
    """An answer to a ListObjectsV2 with what `inside` gives for the prefix that was asked for."""

    def act(exchange: Exchange) -> None:
        exchange.drain()
        listed = f"<IsTruncated>false</IsTruncated>{inside(exchange.request.query['prefix'])}"
        body = f"<ListBucketResult>{listed}</ListBucketResult>".encode()
        exchange.send(200, body, {"Content-Type": "application/xml"})

    return act


def head_changed(pattern: bytes, replacement: bytes) -> Action:
    """A success whose headers are others; there must be one that is changed."""

    def act(exchange: Exchange) -> None:
        response = exchange.forward()
        if response.status < 300:
            response.head, found = re.subn(pattern, replacement, response.head)
            assert found == 1
        exchange.reply(response)

    return act


class TestTheFieldWithTheToken:
    @pytest.mark.parametrize("spelled", [SPELLED, SPELLED.lower(), SPELLED.upper()])
    def test_is_known_however_the_store_spells_it(self, chain: Chain, spelled: str) -> None:
        """Else an upload whose answer was lost would be told as failed although it stands."""
        put(chain.storage, "other", b"x", CREATE_ONLY)
        pattern = rb"(?im)^x-amz-meta-artifact-proxy-upload(?=:)"
        respelled = chain.interposer.on("HeadObject", head_changed(pattern, spelled.encode()), times=None)
        lost = chain.interposer.on(
            lambda r: r.key == f"{PREFIX}a" and r.method == "PUT", cut_after_forwarding
        )
        with chain.storage.create(path("a"), precondition=CREATE_ONLY) as upload:
            upload.write(b"new")
            upload.commit()
        assert lost.used
        assert respelled.used >= 2
        assert upload.created
        assert chain.artifacts() == {"a": b"new", "other": b"x"}

    @pytest.mark.parametrize(
        "name", ["artifact-proxy-upload", "Artifact-Proxy-Upload", "ARTIFACT-PROXY-UPLOAD"]
    )
    def test_tells_of_one_upload_alone(self, name: str) -> None:
        assert publishing.carries({"Metadata": {"team": "vision", name: "token"}}, "token")
        assert not publishing.carries({"Metadata": {"team": "vision", name: "another"}}, "token")
        assert not publishing.carries({"Metadata": {}}, "token")


LISTINGS: dict[str, Callable[[Storage], object]] = {
    "level": names,
    "tree": paths,
    "level below": lambda storage: names(storage, "d"),
    "tree below": lambda storage: paths(storage, "d"),
    "stat": lambda storage: storage.stat(path("d")),
    "read": lambda storage: get(storage, "d"),
    "upload": lambda storage: put(storage, "new"),
    "delete": lambda storage: storage.delete(path("d")),
    "sweep": lambda storage: storage.sweep(),
    "check": lambda storage: storage.check(),
}


class TestAListingOfOtherKeys:
    OTHERS: ClassVar[dict[str, str]] = {
        "of another root": contents("another/root/x"),
        "of a root whose name goes on": contents("some/root-x/y"),
        "of no root": contents("x"),
        "of another root's directories": common_prefix("another/"),
        "of the whole bucket": common_prefix("another/") + contents("some/root/d/x") + contents("x"),
    }

    @pytest.mark.parametrize("what", OTHERS)
    def test_is_no_listing_and_nothing_is_deleted_for_it(self, chain: Chain, what: str) -> None:
        """As of a store that takes no notice of the prefix."""
        foreign = ["another/root/x", "some/root-x/y", "x"]
        for key in [*foreign, f"{PREFIX}d/x", f"{PREFIX}dd"]:
            chain.direct.put_object(Bucket=chain.bucket, Key=key, Body=b"x")
        chain.interposer.on("ListObjectsV2", listing(lambda _: self.OTHERS[what]), times=None)
        for use in LISTINGS.values():
            with pytest.raises(StorageMisbehaved):
                use(chain.storage)
        assert chain.interposer.requests("DeleteObjects") == []
        for key in foreign:
            chain.direct.head_object(Bucket=chain.bucket, Key=key)
        assert chain.artifacts() == {"d/x": b"x", "dd": b"x"}

    def test_beside_the_directory_deletes_nothing_of_it(self, chain: Chain) -> None:
        for name in ("d/x", "dd"):
            put(chain.storage, name)
        chain.interposer.on("ListObjectsV2", listing(lambda _: contents(f"{PREFIX}dd")), times=None)
        with pytest.raises(StorageMisbehaved):
            chain.storage.delete(path("d"))
        assert chain.interposer.requests("DeleteObjects") == []
        assert set(chain.artifacts()) == {"d/x", "dd"}


class TestADirectoryWithinItself:
    """Some stores give the prefix that they were asked for as one of those in it."""

    @pytest.mark.parametrize("extra", ["", "/"])
    def test_is_left_out(self, chain: Chain, extra: str) -> None:
        def inside(prefix: str) -> str:
            return common_prefix(prefix + extra) + contents(f"{prefix}z")

        chain.interposer.on("ListObjectsV2", listing(inside), times=None)
        assert names(chain.storage, "d") == ["z"]
        assert paths(chain.storage, "d") == ["d/z"]
        assert len(chain.interposer.requests("ListObjectsV2")) == 2

    def test_is_not_gone_into_when_a_tree_is_deleted(self, chain: Chain) -> None:
        put(chain.storage, "d/x")
        chain.interposer.clear()
        chain.interposer.on(
            lambda request: request.operation == "ListObjectsV2" and "delimiter" in request.query,
            listing(common_prefix),
            times=None,
        )
        chain.storage.delete(path("d"))
        assert chain.artifacts() == {}
        assert len(chain.interposer.requests("ListObjectsV2")) <= 4


class TestAListingThatMakesNoSense:
    ENTRIES: ClassVar[dict[str, Callable[[str], str]]] = {
        "an object without key": lambda _: "<Contents><Size>1</Size></Contents>",
        "a directory without name": lambda _: "<CommonPrefixes></CommonPrefixes>",
        "a size that is no number": lambda prefix: contents(f"{prefix}x", size="abc"),
        "a time that is none": lambda prefix: contents(f"{prefix}x", modified="the day before yesterday"),
        "a month that is none": lambda prefix: contents(f"{prefix}x", modified="2024-13-45T99:00:00Z"),
    }

    @pytest.mark.parametrize("use", LISTINGS)
    @pytest.mark.parametrize("what", ENTRIES)
    def test_is_a_storage_that_misbehaves(self, wordless: Chain, what: str, use: str) -> None:
        wordless.interposer.on("ListObjectsV2", listing(self.ENTRIES[what]), times=None)
        with pytest.raises(StorageMisbehaved):
            LISTINGS[use](wordless.storage)
        wordless.interposer.forget_rules()

    def test_of_records_without_times_sweeps_none(self, wordless: Chain) -> None:
        wordless.interposer.on(
            "ListObjectsV2", listing(lambda _: f"<Contents><Key>{PREFIX}{RECORDS}0</Key></Contents>")
        )
        with pytest.raises(StorageMisbehaved):
            wordless.storage.sweep()

    @pytest.mark.parametrize("use", [names, paths])
    def test_of_artifacts_without_sizes_is_none(
        self, wordless: Chain, use: Callable[[Storage], object]
    ) -> None:
        wordless.interposer.on(
            "ListObjectsV2", listing(lambda prefix: f"<Contents><Key>{prefix}x</Key></Contents>")
        )
        with pytest.raises(StorageMisbehaved):
            use(wordless.storage)

    def test_by_a_clock_that_cannot_be_read_sweeps_none(self, wordless: Chain) -> None:
        wordless.interposer.on("ListObjectsV2", head_changed(rb"(?im)^Date: [^\r]*", b"Date: soon"))
        with pytest.raises(StorageMisbehaved):
            wordless.storage.sweep()


class TestAnObjectThatMakesNoSense:
    CHANGES: ClassVar[dict[str, tuple[bytes, bytes]]] = {
        "a time that is none": (rb"(?im)^Last-Modified: [^\r]*", b"Last-Modified: some day"),
        "no ETag": (rb"(?im)^ETag: [^\r]*\r\n", b""),
    }

    USES: ClassVar[dict[str, Callable[[Storage], object]]] = {
        "HeadObject": lambda storage: storage.stat(path("a")),
        "GetObject": lambda storage: get(storage, "a"),
    }

    @pytest.mark.parametrize("operation", USES)
    @pytest.mark.parametrize("what", CHANGES)
    def test_is_a_storage_that_misbehaves(self, wordless: Chain, what: str, operation: str) -> None:
        put(wordless.storage, "a")
        rule = wordless.interposer.on(operation, head_changed(*self.CHANGES[what]))
        with pytest.raises(StorageMisbehaved):
            self.USES[operation](wordless.storage)
        assert rule.used
        assert get(wordless.storage, "a") == b"data"


@pytest.fixture(scope="module")
def wordless_chain(object_store: ObjectStore) -> Iterator[Chain]:
    """One for many tests that store next to nothing."""
    bucket = object_store.make_bucket()
    with chained(object_store, bucket) as opened:
        yield opened
    object_store.remove_bucket(bucket)


@pytest.fixture
def wordless(wordless_chain: Chain) -> Iterator[Chain]:
    yield wordless_chain
    wordless_chain.interposer.forget_rules()
    wordless_chain.interposer.clear()
    wordless_chain.storage.delete(path("a"))


class TestTheQuestionWhetherAnUploadStands:
    @staticmethod
    def is_the_question(chain: Chain) -> Callable[[Request], bool]:
        """The HeadObject after the upload; there was one before it too."""
        return lambda request: (
            request.operation == "HeadObject" and bool(chain.interposer.requests("PutObject"))
        )

    def test_is_asked_once_of_a_store_that_has_fallen_silent(
        self, object_store: ObjectStore, bucket: str
    ) -> None:
        with chained(object_store, bucket, s3_timeout=1) as chain:
            chain.interposer.on("PutObject", hang, times=None)
            chain.interposer.on(self.is_the_question(chain), hang, times=None)
            with pytest.raises(StorageTimeout):
                put(chain.storage, "a")
            operations = chain.interposer.operations()
            assert operations[operations.index("PutObject") :] == ["PutObject", "HeadObject"]

    def test_is_not_waited_for_without_end_where_silence_has_no_limit(
        self, object_store: ObjectStore, bucket: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(publishing, "_ANSWER_SECONDS", 0.2)
        over = threading.Event()

        def wait(exchange: Exchange) -> None:
            over.wait()
            exchange.reset()

        with chained(object_store, bucket, s3_timeout=-1) as chain:
            chain.interposer.on("PutObject", refuse, times=None)
            question = chain.interposer.on(self.is_the_question(chain), wait)
            # Who would wait for the answer is not to wait for ever in this test.
            watchdog = threading.Timer(20, over.set)
            watchdog.start()
            try:
                with pytest.raises(StorageUnreachable):
                    put(chain.storage, "a")
                assert question.used
                assert not over.is_set()
            finally:
                watchdog.cancel()
                over.set()
