"""Connections to a store with TLS: whose certificate is trusted, and what is said of those that are not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import StorageUnreachable
from tests.support.artifacts import get, put
from tests.support.interposer import Interposer, interposing
from tests.support.object_store import ObjectStore
from tests.support.private_authority import PrivateAuthority, private_authority
from tests.support.s3_requests import md5_header
from tests.support.s3_variables import LARGE, configured, profile
from tests.support.server import clean_environment

IGNORE = {"MLFLOW_S3_IGNORE_TLS": "true"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> PrivateAuthority:
    return private_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> PrivateAuthority:
    """Another one, which has nothing to do with the store."""
    return private_authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
def secure(object_store: ObjectStore, authority: PrivateAuthority) -> Iterator[Interposer]:
    """The store with TLS, and a certificate of the private authority."""
    with interposing(object_store.url, tls=authority.tls) as interposer:
        yield interposer


@pytest.fixture
def variables(object_store: ObjectStore, secure: Interposer) -> dict[str, str]:
    """What it takes to reach the store but for the trust in its certificate; it is asked once."""
    return object_store.environment(secure.url) | {"AWS_MAX_ATTEMPTS": "1"}


def trusting(authority: PrivateAuthority) -> dict[str, str]:
    return {"AWS_CA_BUNDLE": str(authority.ca_file)}


def start(root: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Starts a server that is expected to refuse it."""
    kept = {name: value for name, value in clean_environment().items() if not name.startswith("AWS_")}
    kept.pop("REQUESTS_CA_BUNDLE", None)
    return subprocess.run(
        [sys.executable, "-m", "app", "--default-artifact-root", root, "--port", "0"],
        capture_output=True,
        text=True,
        env=kept | variables,
        timeout=60,
    )


class TestPrivateAuthority:
    def test_of_the_bundle_is_trusted_with_all_uploads_and_downloads(
        self, variables: dict[str, str], secure: Interposer, authority: PrivateAuthority, shared_root: str
    ) -> None:
        with configured(shared_root, variables | trusting(authority)) as storage:
            put(storage, "small", b"small")
            put(storage, "large", LARGE)
            assert get(storage, "small") == b"small"
            assert get(storage, "large") == LARGE
        assert {request.status for request in secure.requests("UploadPart")} == {200}

    def test_of_the_bundle_in_the_profile_is_trusted(
        self, variables: dict[str, str], authority: PrivateAuthority, shared_root: str, tmp_path: Path
    ) -> None:
        with configured(
            shared_root, variables | profile(tmp_path, f"ca_bundle = {authority.ca_file}")
        ) as storage:
            put(storage, "a")
            assert get(storage, "a") == b"data"

    def test_that_is_not_known_is_not_trusted(
        self, variables: dict[str, str], secure: Interposer, shared_root: str
    ) -> None:
        with configured(shared_root, variables) as storage, pytest.raises(StorageUnreachable) as caught:
            storage.check()
        assert "TLS" in str(caught.value.__cause__)
        assert secure.requests() == []

    def test_that_is_not_in_the_bundle_is_not_trusted(
        self, variables: dict[str, str], secure: Interposer, stranger: PrivateAuthority, shared_root: str
    ) -> None:
        with (
            configured(shared_root, variables | trusting(stranger)) as storage,
            pytest.raises(StorageUnreachable) as caught,
        ):
            storage.check()
        assert "TLS" in str(caught.value.__cause__)
        assert secure.requests() == []


class TestIgnoredCertificate:
    def test_is_taken_whatever_it_is_and_that_is_logged(
        self, variables: dict[str, str], shared_root: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with configured(shared_root, variables | IGNORE) as storage:
            put(storage, "a")
            assert get(storage, "a") == b"data"
        assert "certificate is not checked" in caplog.text

    def test_is_taken_although_the_profile_names_a_bundle(
        self, variables: dict[str, str], stranger: PrivateAuthority, shared_root: str, tmp_path: Path
    ) -> None:
        named = variables | IGNORE | profile(tmp_path, f"ca_bundle = {stranger.ca_file}")
        with configured(shared_root, named) as storage:
            storage.check()

    def test_is_not_taken_where_the_variable_says_no(
        self, variables: dict[str, str], secure: Interposer, shared_root: str
    ) -> None:
        with (
            configured(shared_root, variables | {"MLFLOW_S3_IGNORE_TLS": "false"}) as storage,
            pytest.raises(StorageUnreachable),
        ):
            storage.check()
        assert secure.requests() == []


class TestStart:
    def test_with_a_certificate_of_nobody_known_is_refused_with_the_remedy(
        self, variables: dict[str, str], secure: Interposer, shared_root: str
    ) -> None:
        outcome = start(shared_root, variables)
        assert (outcome.returncode, outcome.stdout) == (2, "")
        assert outcome.stderr.count("\n") == 1
        assert f"no trustworthy TLS connection to {secure.url}" in outcome.stderr
        assert "AWS_CA_BUNDLE" in outcome.stderr

    def test_with_both_ignored_and_trusted_certificates_is_refused(
        self, variables: dict[str, str], secure: Interposer, authority: PrivateAuthority, shared_root: str
    ) -> None:
        outcome = start(shared_root, variables | IGNORE | trusting(authority))
        assert (outcome.returncode, outcome.stdout) == (2, "")
        assert outcome.stderr.count("\n") == 1
        assert "MLFLOW_S3_IGNORE_TLS=True cannot be used" in outcome.stderr
        assert "AWS_CA_BUNDLE" in outcome.stderr
        assert secure.connections == 0

    @pytest.mark.parametrize("content", [None, "", "no certificate\n"], ids=["missing", "empty", "text"])
    def test_with_a_bundle_that_is_none_is_refused(
        self,
        content: str | None,
        variables: dict[str, str],
        secure: Interposer,
        shared_root: str,
        tmp_path: Path,
    ) -> None:
        file = tmp_path / "bundle.pem"
        if content is not None:
            file.write_text(content)
        outcome = start(shared_root, variables | {"AWS_CA_BUNDLE": str(file)})
        assert (outcome.returncode, outcome.stdout) == (2, "")
        assert outcome.stderr.count("\n") == 1
        assert f"AWS_CA_BUNDLE={str(file)!r} cannot be used" in outcome.stderr
        assert secure.requests() == []


class TestChecksums:
    def test_of_uploads_are_in_their_heads(
        self, variables: dict[str, str], secure: Interposer, authority: PrivateAuthority, shared_root: str
    ) -> None:
        """With TLS the library signs no body, and by itself it would send checksums behind it."""
        with configured(shared_root, variables | trusting(authority)) as storage:
            put(storage, "small", b"small")
            put(storage, "large", LARGE)
        (small,) = [one for one in secure.requests("PutObject") if one.key.endswith("small")]
        assert small.body == b"small"
        assert small.headers["content-md5"] == md5_header(b"small")
        for request in [small, *secure.requests("UploadPart")]:
            assert "content-md5" in request.headers
            assert "x-amz-trailer" not in request.headers
            assert "aws-chunked" not in request.headers.get("content-encoding", "")

    def test_are_behind_the_bodies_where_the_user_wants_those_of_the_library(
        self, variables: dict[str, str], secure: Interposer, authority: PrivateAuthority, shared_root: str
    ) -> None:
        wanted = {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_supported"}
        with configured(shared_root, variables | trusting(authority) | wanted) as storage:
            put(storage, "small", b"small")
            put(storage, "large", LARGE)
            assert get(storage, "small") == b"small"
            assert get(storage, "large") == LARGE
        (small,) = [one for one in secure.requests("PutObject") if one.key.endswith("small")]
        for request in [small, *secure.requests("UploadPart")]:
            assert request.headers["x-amz-trailer"] == "x-amz-checksum-crc32"
