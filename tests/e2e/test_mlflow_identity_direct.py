"""Unmodified MLflow clients with tokens go past the proxy to S3 below their own prefix, and nowhere else.

Clients repeat some statuses for minutes, so the requests are counted.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.conftest import PresigningProxy
from tests.e2e.roots import S3Root
from tests.support.access import access_file, token_stanza
from tests.support.access_log import logged
from tests.support.interposer import interposing
from tests.support.object_store import ObjectStore
from tests.support.server import running

MIB = 1024 * 1024
CONTENT = secrets.token_bytes(6 * MIB + 1)
FORCED = ("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD")
FORMS = ("mlflow-artifacts", "http")


@pytest.fixture(scope="module")
def tokens() -> dict[str, tuple[str, str]]:
    """Of a team with all rights to its own place, of which it alone sees what there is, and of a reader."""
    return {
        "team": token_stanza("team", "all:{name}/", "list:"),
        "reader": token_stanza("reader", "read,list:"),
    }


@pytest.fixture(scope="module")
def guarded(
    object_store: ObjectStore, tokens: dict[str, tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PresigningProxy]:
    directory = tmp_path_factory.mktemp("guarded")
    file = access_file(directory, *(stanza for _, stanza in tokens.values()))
    bucket = object_store.make_bucket()
    with closing(object_store.client()) as client, interposing(object_store.url) as public:
        root = S3Root(object_store, bucket, "root", client)
        flags = ("--presign", "--s3-public-endpoint-url", public.url, "--access-file", str(file))
        log_file = directory / "s3.log"
        with running(root.location, *flags, environment=root.environment, log_file=log_file) as server:
            yield PresigningProxy(server, root, public)
    object_store.remove_bucket(bucket)


@pytest.fixture
def proxy(guarded: PresigningProxy) -> PresigningProxy:
    guarded.public.clear()
    return guarded


class User:
    """Somebody at a machine of their own, whose client takes parts for files of 6 MiB."""

    def __init__(self, proxy: PresigningProxy, environment: pytest.MonkeyPatch, form: str) -> None:
        self._proxy = proxy
        self._environment = environment
        self._form = form
        self.downloads = "artifacts" if form == "http" else "presigned"
        """The route by which it downloads."""
        environment.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", str(6 * MIB))
        environment.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", str(5 * MIB))
        environment.setenv("MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE", str(4 * MIB))
        if form == "http":  # with which a client asks for parts only if it is told to
            for name in FORCED:
                environment.setenv(name, "true")

    def show(self, token: str) -> None:
        """From now on each request carries the token."""
        self._environment.setenv("MLFLOW_TRACKING_TOKEN", token)

    def repository(self, directory: str) -> Any:
        """What the client has for the artifacts below `directory`."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        server = self._proxy.server
        uri = f"mlflow-artifacts://{urlsplit(server.url).netloc}" if self._form != "http" else ""
        return get_artifact_repository(
            f"{uri or f'{server.mlflow}/artifacts'}/{directory}", tracking_uri=server.url
        )


@pytest.fixture(params=FORMS)
def user(
    proxy: PresigningProxy,
    user_environment: None,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> User:
    return User(proxy, monkeypatch, str(request.param))


@pytest.fixture
def local(tmp_path: Path) -> Path:
    file = tmp_path / "model.bin"
    file.write_bytes(CONTENT)
    return file


def asked(proxy: PresigningProxy, folder: str) -> list[tuple[str, str, int]]:
    """What the proxy was asked, but for listings: method, kind of route with the place before, status."""
    return [
        (each.method, each.target.partition("mlflow-artifacts/")[2].partition(f"/{folder}")[0], each.status)
        for each in logged(proxy.server, folder)
        if "?" not in each.target
    ]


def test_below_its_prefix_a_large_file_goes_past_the_proxy(
    *,
    user: User,
    proxy: PresigningProxy,
    tokens: dict[str, tuple[str, str]],
    folder: str,
    local: Path,
    tmp_path: Path,
) -> None:
    user.show(tokens["team"][0])
    repository = user.repository(f"team/{folder}")
    repository.log_artifact(str(local), "models")
    assert proxy.root.tree(f"team/{folder}") == {"models/model.bin": CONTENT}
    (tmp_path / "fetched").mkdir()
    fetched = repository.download_artifacts("models/model.bin", str(tmp_path / "fetched"))
    assert Path(fetched).read_bytes() == CONTENT
    assert asked(proxy, folder) == [
        ("POST", "mpu/create/team", 200),
        ("POST", "mpu/complete/team", 200),
        ("GET", f"{user.downloads}/team", 200),
    ]
    parts = proxy.public.requests("UploadPart")
    assert sorted(part.body_length for part in parts) == [MIB + 1, 5 * MIB]
    direct = proxy.public.requests("GetObject")
    assert len(direct) == (2 if user.downloads == "presigned" else 0)
    # The token is for the proxy, and for nobody else.
    assert not any("authorization" in request.headers for request in [*parts, *direct])
    assert proxy.root.unfinished() == []


@pytest.mark.parametrize("place", ["others", "team-b", ""], ids=["elsewhere", "beside", "above"])
def test_anywhere_else_an_upload_fails_at_once_and_says_so(
    *,
    user: User,
    proxy: PresigningProxy,
    tokens: dict[str, tuple[str, str]],
    folder: str,
    local: Path,
    place: str,
) -> None:
    user.show(tokens["team"][0])
    before = proxy.root.names()
    with pytest.raises(Exception, match=r"(?s)403.*You may not write"):
        user.repository(f"{place}/{folder}".lstrip("/")).log_artifact(str(local), "models")
    assert asked(proxy, folder) == [("POST", f"mpu/create/{place}".rstrip("/"), 403)]
    assert proxy.public.requests() == []
    assert proxy.root.names() == before
    assert proxy.root.unfinished() == []


def test_what_may_be_listed_and_not_read_is_not_downloaded(
    *,
    user: User,
    proxy: PresigningProxy,
    tokens: dict[str, tuple[str, str]],
    folder: str,
    tmp_path: Path,
) -> None:
    proxy.root.put(f"others/{folder}/model.bin", CONTENT)
    user.show(tokens["team"][0])
    repository = user.repository(f"others/{folder}")
    assert [info.path for info in repository.list_artifacts()] == ["model.bin"]
    with pytest.raises(Exception, match=r"(?s)403.*You may not read"):
        repository.download_artifacts("model.bin", str(tmp_path))
    assert asked(proxy, folder) == [("GET", f"{user.downloads}/others", 403)]
    assert proxy.public.requests() == []
    assert list(tmp_path.iterdir()) == []


def test_a_reader_fetches_what_others_logged_and_uploads_nothing(
    *,
    user: User,
    proxy: PresigningProxy,
    tokens: dict[str, tuple[str, str]],
    folder: str,
    local: Path,
    tmp_path: Path,
) -> None:
    proxy.root.put(f"team/{folder}/model.bin", CONTENT)
    user.show(tokens["reader"][0])
    repository = user.repository(f"team/{folder}")
    (tmp_path / "fetched").mkdir()
    fetched = repository.download_artifacts("model.bin", str(tmp_path / "fetched"))
    assert Path(fetched).read_bytes() == CONTENT
    with pytest.raises(Exception, match=r"(?s)403.*You may not write"):
        repository.log_artifact(str(local), "again")
    assert asked(proxy, folder) == [("GET", f"{user.downloads}/team", 200), ("POST", "mpu/create/team", 403)]
    assert proxy.public.requests("UploadPart") == []
    assert proxy.root.tree(f"team/{folder}") == {"model.bin": CONTENT}


def test_a_wrong_token_fails_at_once_and_says_so(
    user: User, proxy: PresigningProxy, folder: str, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in FORCED:  # without it a client does not ask for parts where it is not known
        monkeypatch.setenv(name, "true")
    user.show("apx_wrong")
    with pytest.raises(Exception, match=r"(?s)401.*not known here"):
        user.repository(f"team/{folder}").log_artifact(str(local))
    assert asked(proxy, folder) == [("POST", "mpu/create/team", 401)]
    assert proxy.public.requests() == []
