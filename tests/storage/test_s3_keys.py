"""The keys of artifacts in S3: formed once, from the root and the path, and never outside of the root."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.errors import (
    InvalidPath,
)
from app.paths import MAX_PATH_BYTES, RESERVED_PREFIX, ArtifactPath
from app.storage.s3.root import MAX_KEY_BYTES, S3Root
from tests.support.artifacts import get, path, paths, put
from tests.support.interposer import Interposer
from tests.support.object_store import ObjectStore
from tests.support.s3_requests import (
    artifact_requests,
    direct,
    do_everything,
    is_within,
)
from tests.support.s3_variables import configured, opened

# Pieces that mean something to S3, to somebody who decodes, or to the server itself.
PIECES = [
    *("a", "b", "bucket", "/", "/", ".", "..", "%", "25", "2e", "2f", "é", "😀", " ", "\\", ";", "uploads"),
    *(RESERVED_PREFIX, RESERVED_PREFIX.upper(), "%2eartifact-proxy", "x" * 200),
]
texts = st.one_of(st.lists(st.sampled_from(PIECES), max_size=10).map("".join), st.text())


def accepted(read: Callable[[str], ArtifactPath], text: str) -> ArtifactPath | None:
    try:
        return read(text)
    except InvalidPath:
        return None


def valid(read: Callable[[str], ArtifactPath]) -> st.SearchStrategy[ArtifactPath]:
    return texts.map(lambda text: accepted(read, text)).filter(lambda found: found is not None)  # type: ignore[return-value]


artifact_paths = valid(ArtifactPath.parse)
roots = valid(ArtifactPath.parse_directory).map(
    lambda directory: S3Root("bucket", "" if directory.is_root else f"{directory}/")
)


def long_path(size: int) -> ArtifactPath:
    """A path of so many bytes."""
    segments = ["x" * 200] * 5
    text = "/".join(segments)[: size - 2]
    return path(f"{text}/{'y' * (size - len(text) - 1)}" if len(text) < size - 1 else text)


class TestKeys:
    @pytest.mark.parametrize(
        ("url", "at", "key"),
        [
            ("s3://bucket", "a/b", "a/b"),
            ("s3://bucket/p/q/", "a/b", "p/q/a/b"),
            ("s3://bbb/bbb", "bbb", "bbb/bbb"),
            ("s3://bbb/bbb", "bbb/a", "bbb/bbb/a"),
            ("s3://bbb/a", "a/a", "a/a/a"),
            ("s3://bbb", "bbb/a", "bbb/a"),
            ("s3://bucket/a%20b", "c%20d", "a%20b/c%20d"),
        ],
    )
    def test_the_prefix_stands_before_the_path_once(self, url: str, at: str, key: str) -> None:
        root = S3Root.parse(url)
        assert root.key(path(at)) == key
        assert root.below(path(at)) == f"{key}/"
        assert root.path(key) == path(at)

    def test_what_lies_below_the_root_begins_with_the_prefix(self) -> None:
        assert S3Root.parse("s3://bucket").below(ArtifactPath()) == ""
        assert S3Root.parse("s3://bucket/a/b").below(ArtifactPath()) == "a/b/"

    @given(roots, artifact_paths)
    @example(S3Root("bucket", "bucket/"), path("bucket/a"))
    def test_a_key_gives_its_path_back(self, root: S3Root, at: ArtifactPath) -> None:
        try:
            key = root.key(at)
        except InvalidPath:
            assert len(f"{root.prefix}{at}".encode()) > MAX_KEY_BYTES
            return
        assert key == f"{root.prefix}{at}"
        assert root.path(key) == at

    @given(roots, artifact_paths, st.sampled_from(["probe-1", "uploads/1", "x"]))
    def test_no_path_leads_to_what_is_the_servers_own(
        self, root: S3Root, at: ArtifactPath, name: str
    ) -> None:
        own = root.own(name)
        assert own.startswith(f"{root.prefix}{RESERVED_PREFIX}/")
        with pytest.raises(InvalidPath):
            root.path(own)
        if len(f"{root.prefix}{at}".encode()) <= MAX_KEY_BYTES:
            assert root.key(at) != own
            assert not own.startswith(root.below(at))

    @pytest.mark.parametrize("outer", ["s3://bucket", "s3://bucket/team"])
    def test_no_path_of_a_root_leads_to_what_is_that_of_a_root_within(self, outer: str) -> None:
        inner = S3Root.parse("s3://bucket/team/project")
        with pytest.raises(InvalidPath):
            S3Root.parse(outer).path(inner.own("uploads/1"))

    def test_a_key_is_no_longer_than_s3_allows(self) -> None:
        root = S3Root.parse("s3://bucket/p/é")  # five bytes with the final slash
        assert len(root.key(long_path(1024 - 5)).encode()) == MAX_KEY_BYTES
        for size in (1024 - 4, MAX_PATH_BYTES):
            with pytest.raises(InvalidPath, match="longer than the 1024 bytes that S3 allows"):
                root.key(long_path(size))
        assert len(S3Root.parse("s3://bucket").key(long_path(MAX_PATH_BYTES))) == MAX_KEY_BYTES

    def test_the_longest_key_is_stored_and_a_longer_one_refused(
        self, object_store: ObjectStore, bucket: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in object_store.environment().items():
            monkeypatch.setenv(name, value)
        longest, longer = long_path(1024 - 5), long_path(1024 - 4)
        with closing(opened(f"s3://{bucket}/root", s3_endpoint_url=object_store.url)) as storage:
            put(storage, str(longest), b"data")
            assert get(storage, str(longest)) == b"data"
            assert paths(storage) == [str(longest)]
            for refused in (storage.create, storage.stat, storage.read, storage.delete):
                with pytest.raises(InvalidPath):
                    refused(longer)
            storage.delete(longest)
            assert paths(storage) == []


class TestKeysOfRequests:
    """Formed once, from the root and the path."""

    @pytest.mark.parametrize(
        ("prefix", "artifact"),
        [
            ("", "{bucket}/a"),
            ("{bucket}/", "{bucket}/b"),
            ("{bucket}/{bucket}/", "{bucket}/{bucket}/c"),
            ("some/root/", "some/root/d"),
            ("some/root/", "{bucket}/some/root/e"),
        ],
    )
    def test_are_never_doubled(
        self, prefix: str, artifact: str, variables: dict[str, str], wire: Interposer, shared_bucket: str
    ) -> None:
        prefix, artifact = prefix.format(bucket=shared_bucket), artifact.format(bucket=shared_bucket)
        with configured(f"s3://{shared_bucket}/{prefix}", variables) as storage:
            put(storage, artifact)
            begun = direct(storage).begin(path(artifact), 1)
            direct(storage).abort(path(artifact), begun.upload_id)
            url = urlsplit(direct(storage).download(storage.stat(path(artifact)), "attachment"))
            assert artifact in paths(storage)
            storage.delete(path(artifact))
        key = prefix + artifact
        for operation in ("PutObject", "CreateMultipartUpload", "AbortMultipartUpload"):
            assert {(one.bucket, one.key) for one in artifact_requests(wire, operation)} == {
                (shared_bucket, key)
            }
        assert url.path == urlsplit(begun.part_urls[0]).path == f"/{shared_bucket}/{key}"
        assert all(is_within(one, shared_bucket, prefix) for one in wire.requests())

    def test_of_all_requests_are_below_the_root(
        self, variables: dict[str, str], wire: Interposer, shared_bucket: str, folder: str
    ) -> None:
        with configured(f"s3://{shared_bucket}/{folder}", variables) as storage:
            do_everything(storage)
        outside = [one.target for one in wire.requests() if not is_within(one, shared_bucket, f"{folder}/")]
        assert outside == []
