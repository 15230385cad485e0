"""Unmodified MLflow clients transfer straight to and from S3 where the proxy lets them, and only there."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import PresigningProxy, Proxy, Setup
from tests.support.access_log import Logged, logged
from tests.support.interposer_actions import answer
from tests.support.interposer_exchange import Request

MIB = 1024 * 1024
MULTIPART_MINIMUM = "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE"
UPLOAD_CHUNK = "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE"
DOWNLOAD_CHUNK = "MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE"
FORCED = ("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD")


@pytest.fixture
def backend() -> str:
    """The only one with presigned URLs."""
    return "s3"


@pytest.fixture
def uri_form() -> str:
    """The only one with which clients ask what a server can do."""
    return "mlflow-artifacts"


@pytest.fixture
def proxy(presigning_proxy: PresigningProxy) -> Iterator[PresigningProxy]:
    presigning_proxy.public.clear()
    yield presigning_proxy
    presigning_proxy.public.forget_rules()


@pytest.fixture
def unfinished_before(proxy: PresigningProxy) -> list[str]:
    """What other tests of the same proxy left on purpose."""
    return proxy.root.unfinished()


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a client takes parts for files of 6 MiB, which else are too small for that."""
    monkeypatch.setenv(MULTIPART_MINIMUM, str(6 * MIB))
    monkeypatch.setenv(UPLOAD_CHUNK, str(5 * MIB))
    monkeypatch.setenv(DOWNLOAD_CHUNK, str(4 * MIB))


def transfers(proxy: Proxy, run_id: str) -> list[tuple[str, str, int]]:
    """What the proxy itself was asked for a run, but for listings: method, kind of route, status."""
    return [
        (request.method, route(request), request.status)
        for request in logged(proxy.server, f"{run_id}/artifacts")
        if "?" not in request.target
    ]


def route(request: Logged) -> str:
    """Such as artifacts, presigned or mpu/create."""
    segments = request.target.removeprefix("/api/2.0/mlflow-artifacts/").split("/")
    return "/".join(segments[:2]) if segments[0] == "mpu" else segments[0]


PAST_THE_PROXY = [("POST", "mpu/create", 200), ("POST", "mpu/complete", 200), ("GET", "presigned", 200)]


def test_a_file_of_501_mib_goes_past_the_proxy_both_ways_with_default_settings(
    setup: Setup, proxy: PresigningProxy, unfinished_before: list[str], run_id: str, tmp_path: Path
) -> None:
    client = setup.client()
    local, block, digest = tmp_path / "large.bin", secrets.token_bytes(MIB - 8), hashlib.sha256()
    with local.open("wb") as file:
        for number in range(501):
            # The number makes every block differ, so that none can be lost or swapped unnoticed.
            piece = number.to_bytes(8, "big") + block
            digest.update(piece)
            file.write(piece)
    client.log_artifact(run_id, str(local), "models")
    local.unlink()
    fetched = Path(client.download_artifacts(run_id, "models/large.bin", str(tmp_path)))
    try:
        with fetched.open("rb") as file:
            assert hashlib.file_digest(file, "sha256").digest() == digest.digest()
    finally:
        fetched.unlink()
        setup.root.remove(setup.path(f"{client.get_run(run_id).info.artifact_uri}/models/large.bin"))

    assert transfers(proxy, run_id) == PAST_THE_PROXY
    parts = proxy.public.requests("UploadPart")
    assert [sorted(int(part.query["partNumber"]) for part in parts)] == [list(range(1, 52))]
    assert sum(part.body_length for part in parts) == 501 * MIB
    assert len(set(ranges(proxy))) == 6
    assert proxy.root.unfinished() == unfinished_before


NAMES = ["plain.bin", "with space/a b.bin", "日本語/モデル é.bin", "100% plus+and&more=1;x'.bin"]


@pytest.mark.parametrize("name", NAMES)
def test_a_large_file_of_any_name_goes_past_the_proxy_in_parts(
    setup: Setup,
    proxy: PresigningProxy,
    unfinished_before: list[str],
    run_id: str,
    small_parts: None,
    tmp_path: Path,
    name: str,
) -> None:
    client = setup.client()
    local = tmp_path / Path(name).name
    local.write_bytes(secrets.token_bytes(6 * MIB + 1))
    client.log_artifact(run_id, str(local), str(Path(name).parent) if "/" in name else None)
    assert setup.stored(client.get_run(run_id).info.artifact_uri) == {name: local.read_bytes()}
    fetched = client.download_artifacts(run_id, name, str(tmp_path / "fetched"))
    assert Path(fetched).read_bytes() == local.read_bytes()

    assert transfers(proxy, run_id) == PAST_THE_PROXY
    assert sorted(part.body_length for part in proxy.public.requests("UploadPart")) == [MIB + 1, 5 * MIB]
    assert sorted(ranges(proxy)) == [f"bytes=0-{4 * MIB - 1}", f"bytes={4 * MIB}-{6 * MIB}"]
    assert proxy.root.unfinished() == unfinished_before


def ranges(proxy: PresigningProxy) -> list[str]:
    """What was asked for of artifacts straight at the store."""
    return [request.headers["range"] for request in proxy.public.requests("GetObject")]


def test_a_directory_goes_past_the_proxy_as_far_as_its_files_are_large(
    setup: Setup, proxy: PresigningProxy, run_id: str, small_parts: None, tmp_path: Path
) -> None:
    client = setup.client()
    content = {
        "large.bin": secrets.token_bytes(6 * MIB),
        "sub/larger.bin": secrets.token_bytes(11 * MIB),
        "sub/small.bin": secrets.token_bytes(6 * MIB - 1),
        "empty.bin": b"",
    }
    for name, data in content.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(data)
    client.log_artifacts(run_id, str(tmp_path / "tree"), "tree")
    uploads = sorted(method_and_route[:2] for method_and_route in transfers(proxy, run_id))
    assert uploads == [
        *[("POST", "mpu/complete")] * 2,
        *[("POST", "mpu/create")] * 2,
        *[("PUT", "artifacts")] * 2,
    ]
    parts = {name: number_of_parts(proxy, f"{run_id}/artifacts/tree/{name}") for name in content}
    assert parts == {"large.bin": 2, "sub/larger.bin": 3, "sub/small.bin": 0, "empty.bin": 0}

    fetched = Path(client.download_artifacts(run_id, "tree", str(tmp_path / "fetched")))
    read = {
        str(path.relative_to(fetched)): path.read_bytes() for path in fetched.rglob("*") if path.is_file()
    }
    assert read == content
    downloads = [request for request in transfers(proxy, run_id) if request[0] == "GET"]
    assert downloads == [("GET", "presigned", 200)] * 4


def number_of_parts(proxy: PresigningProxy, path: str) -> int:
    return len([request for request in proxy.public.requests("UploadPart") if request.key.endswith(path)])


def test_an_upload_of_which_a_part_fails_is_aborted_and_leaves_nothing(
    setup: Setup,
    proxy: PresigningProxy,
    unfinished_before: list[str],
    run_id: str,
    small_parts: None,
    tmp_path: Path,
) -> None:
    def is_second_part(request: Request) -> bool:
        return request.operation == "UploadPart" and request.query["partNumber"] == "2"

    client = setup.client()
    client.log_text(run_id, "the version before", "model.bin")
    proxy.public.on(is_second_part, answer(403, "AccessDenied"))
    local = tmp_path / "model.bin"
    local.write_bytes(secrets.token_bytes(11 * MIB))
    with pytest.raises(Exception, match="Failed to upload at least one part"):
        client.log_artifact(run_id, str(local))
    assert transfers(proxy, run_id) == [
        ("PUT", "artifacts", 200),
        ("POST", "mpu/create", 200),
        ("POST", "mpu/abort", 200),
    ]
    stored = setup.stored(client.get_run(run_id).info.artifact_uri)
    assert stored == {"model.bin": b"the version before"}
    assert proxy.root.unfinished() == unfinished_before


def test_an_upload_onto_a_directory_fails_at_once(
    setup: Setup,
    proxy: PresigningProxy,
    unfinished_before: list[str],
    run_id: str,
    small_parts: None,
    tmp_path: Path,
) -> None:
    client = setup.client()
    client.log_text(run_id, "in the way", "model.bin/a.txt")
    local = tmp_path / "model.bin"
    local.write_bytes(secrets.token_bytes(6 * MIB))
    with pytest.raises(Exception, match="it is a directory that is not empty"):
        client.log_artifact(run_id, str(local))
    assert transfers(proxy, run_id)[1:] == [("POST", "mpu/create", 409)]
    assert proxy.root.unfinished() == unfinished_before


def test_the_download_of_a_missing_artifact_fails_at_once(
    setup: Setup, proxy: PresigningProxy, run_id: str, tmp_path: Path
) -> None:
    with pytest.raises(Exception, match=r"nope\.txt', please ensure that the path is correct"):
        setup.client().download_artifacts(run_id, "nope.txt", str(tmp_path))
    assert transfers(proxy, run_id) == [("GET", "presigned", 404)]


def test_a_client_asks_what_the_server_can_do_and_then_downloads_all_from_the_store(
    setup: Setup, mlflow: Any, proxy: PresigningProxy, run_id: str
) -> None:
    client = setup.client()
    client.log_text(run_id, "Grüße\n", "notes/hello.txt")
    uri = client.get_run(run_id).info.artifact_uri
    assert mlflow.artifacts.load_text(f"{uri}/notes/hello.txt") == "Grüße\n"
    assert transfers(proxy, run_id) == [("PUT", "artifacts", 200), ("GET", "presigned", 200)]
    assert ranges(proxy) == ["bytes=0-7"]
    info = httpx.get(f"{proxy.server.url}/api/3.0/mlflow/server-info").json()
    assert info["multipart_uploads_enabled"] is info["multipart_downloads_enabled"] is True


class TestOverHttpUris:
    """With these a client never asks; users can tell it to transfer in parts."""

    @pytest.fixture
    def uri_form(self) -> str:
        return "http"

    def test_a_client_that_is_told_nothing_uses_the_plain_routes(
        self, setup: Setup, proxy: PresigningProxy, run_id: str, small_parts: None, tmp_path: Path
    ) -> None:
        self._log_and_fetch(setup, run_id, tmp_path)
        assert transfers(proxy, run_id) == [("PUT", "artifacts", 200), ("GET", "artifacts", 200)]
        assert proxy.public.requests() == []

    def test_a_client_that_is_told_to_uploads_past_the_proxy(
        self,
        setup: Setup,
        proxy: PresigningProxy,
        run_id: str,
        small_parts: None,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        monkeypatch.setenv(FORCED[0], "true")
        self._log_and_fetch(setup, run_id, tmp_path)
        assert transfers(proxy, run_id) == [*PAST_THE_PROXY[:2], ("GET", "artifacts", 200)]

    @staticmethod
    def _log_and_fetch(setup: Setup, run_id: str, tmp_path: Path) -> None:
        client = setup.client()
        local = tmp_path / "model.bin"
        local.write_bytes(secrets.token_bytes(6 * MIB))
        client.log_artifact(run_id, str(local))
        fetched = client.download_artifacts(run_id, "model.bin", str(tmp_path / "fetched"))
        assert Path(fetched).read_bytes() == local.read_bytes()


class TestWithoutPresign:
    """The proxy over S3 as it is by default."""

    @pytest.fixture
    def proxy(self, s3_proxy: Proxy) -> Proxy:
        return s3_proxy

    @pytest.fixture
    def content(self, tmp_path: Path, small_parts: None) -> Path:
        local = tmp_path / "model.bin"
        local.write_bytes(secrets.token_bytes(6 * MIB))
        return local

    def test_clients_are_told_of_no_parts_and_use_the_plain_routes(
        self, setup: Setup, run_id: str, content: Path, tmp_path: Path
    ) -> None:
        client = setup.client()
        client.log_artifact(run_id, str(content))
        fetched = client.download_artifacts(run_id, "model.bin", str(tmp_path / "fetched"))
        assert Path(fetched).read_bytes() == content.read_bytes()
        assert transfers(setup.proxy, run_id) == [("PUT", "artifacts", 200), ("GET", "artifacts", 200)]

    def test_clients_that_are_told_to_use_parts_fall_back_on_the_plain_routes(
        self, setup: Setup, run_id: str, content: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        for name in FORCED:
            monkeypatch.setenv(name, "true")
        client = setup.client()
        client.log_artifact(run_id, str(content))
        fetched = client.download_artifacts(run_id, "model.bin", str(tmp_path / "fetched"))
        assert Path(fetched).read_bytes() == content.read_bytes()
        assert transfers(setup.proxy, run_id) == [
            ("POST", "mpu/create", 501),
            ("PUT", "artifacts", 200),
            ("GET", "presigned", 501),
            ("GET", "artifacts", 200),
        ]

    def test_a_uri_without_a_host_means_the_proxy_itself(
        self, s3_proxy: Proxy, user_environment: None, folder: str, tmp_path: Path
    ) -> None:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        repository = get_artifact_repository(f"mlflow-artifacts:/{folder}", tracking_uri=s3_proxy.server.url)
        local = tmp_path / "a b.txt"
        local.write_text("hello\n")
        repository.log_artifact(str(local), "sub")
        assert s3_proxy.root.tree(folder) == {"sub/a b.txt": b"hello\n"}
        assert [(info.path, info.file_size) for info in repository.list_artifacts("sub")] == [
            ("sub/a b.txt", 6)
        ]
        (tmp_path / "fetched").mkdir()
        fetched = repository.download_artifacts("sub", str(tmp_path / "fetched"))
        assert (Path(fetched) / "a b.txt").read_text() == "hello\n"
        repository.delete_artifacts("sub/a b.txt")
        assert not any(name.startswith(folder) for name in s3_proxy.root.names())
