"""The start: which roots and addresses can be, and the one sentence for each that cannot."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from app import config
from app.cli import main
from app.errors import ArtifactError, StorageUnavailable
from app.main import open_app, open_storage
from app.paths import ArtifactPath
from app.storage import registry
from app.storage.local.storage import LocalStorage

pytestmark = pytest.mark.usefixtures("no_variables")

Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """What the command says when it refuses to start."""

    def message(*arguments: str) -> str:
        assert main(["--port", "0", *arguments]) == 2
        written = capsys.readouterr()
        assert written.out == ""
        assert written.err.startswith("artifact-proxy: ")
        assert written.err.count("\n") == 1
        return written.err

    return message


def test_a_configuration_is_refused_also_where_it_is_only_printed(refused: Refused, tmp_path: Path) -> None:
    assert "--workers='0'" in refused("config", "--workers", "0")
    assert str(tmp_path / "none.toml") in refused("config", "--config", str(tmp_path / "none.toml"))


@pytest.mark.parametrize("value", ["inf", "1e10", "86401"])
@pytest.mark.parametrize(
    "flag", ["--drain-delay", "--drain-timeout", "--admission-timeout", "--transfer-patience"]
)
def test_nobody_is_waited_for_longer_than_a_day(refused: Refused, flag: str, value: str) -> None:
    message = refused("config", flag, value)
    assert f"{flag}={value!r} cannot be used: Input should be less than or equal to 86400" in message


class TestRoot:
    """Roots that cannot be: the start stops with the name, the value and the remedy."""

    @pytest.mark.parametrize(
        "root",
        [
            *("http://127.0.0.1:9000", "https://s3.example.org/bucket", "HTTP://x", "mlflow-artifacts:/"),
            *("mlflow-artifacts://proxy:5500/", "http:"),
        ],
    )
    @pytest.mark.parametrize(
        "name",
        ["--default-artifact-root", "ARTIFACT_PROXY_DEFAULT_ARTIFACT_ROOT", "MLFLOW_ARTIFACTS_DESTINATION"],
    )
    def test_an_address_for_clients_is_no_storage(
        self, refused: Refused, monkeypatch: pytest.MonkeyPatch, root: str, name: str
    ) -> None:
        if name.startswith("--"):
            message = refused(name, root)
        else:
            monkeypatch.setenv(name, root)
            message = refused()
        assert f"{name}={root!r} cannot be used" in message
        assert "MLFLOW_S3_ENDPOINT_URL" in message
        assert "tracking server's own --default-artifact-root" in message

    @pytest.mark.parametrize(
        "root", ["gs://bucket/a", "abfss://c@a/b", "ftp://host", "dbfs:/a", "nonsense:x", "S4://b"]
    )
    def test_an_unknown_scheme_brings_the_known_ones(self, refused: Refused, root: str) -> None:
        message = refused("--artifacts-destination", root)
        assert f"--default-artifact-root={root!r}" in message
        for scheme in [scheme for backend in registry.BACKENDS for scheme in backend.schemes]:
            assert f"{scheme}:" in message if scheme else "a plain path" in message

    @pytest.mark.parametrize(
        ("root", "remedy"),
        [
            ("", "name a directory"),
            ("file:", "not absolute"),
            ("file:artifacts", "file:///path"),
            ("file:./artifacts", "file:///path"),
            ("file://host/share", "it names a host"),
            ("file://artifacts", "file:///path"),
            ("file:///a?b", "%3F"),
            ("file:///a#b", "%23"),
            ("file:///%ff", "cannot be used"),
            ("file://[", "cannot be used"),
            ("file:///a%00b", "cannot be used"),
        ],
    )
    def test_a_file_url_that_is_no_local_directory_is_explained(
        self, refused: Refused, root: str, remedy: str
    ) -> None:
        message = refused("--default-artifact-root", root)
        assert f"--default-artifact-root={root!r} cannot be used: " in message
        assert remedy in message

    def test_a_file_is_no_root(self, refused: Refused, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_bytes(b"mine")
        for root in (str(file), f"{file}/below"):
            message = refused("--default-artifact-root", root)
            assert f"{root!r} is not a directory; name one" in message
        assert file.read_bytes() == b"mine"

    @pytest.mark.parametrize("read_only", [[], ["--read-only"]], ids=["", "read-only"])
    def test_only_the_last_directory_is_made(
        self, refused: Refused, tmp_path: Path, read_only: list[str]
    ) -> None:
        root = tmp_path / "missing" / "root"
        message = refused("--default-artifact-root", str(root), *read_only)
        missing = root if read_only else root.parent
        assert f"{str(missing)!r} does not exist; create or mount it first" in message
        assert list(tmp_path.iterdir()) == []

    def test_a_root_that_is_only_read_is_not_made(self, refused: Refused, tmp_path: Path) -> None:
        refused("--default-artifact-root", str(tmp_path / "root"), "--read-only")
        assert list(tmp_path.iterdir()) == []

    def test_a_root_that_leads_back_to_itself_is_explained(self, refused: Refused, tmp_path: Path) -> None:
        loop = tmp_path / "loop"
        loop.symlink_to(loop)
        assert f"--default-artifact-root={str(loop)!r} cannot be used: " in refused(
            "--default-artifact-root", str(loop)
        )

    def test_the_home_of_nobody_is_explained(self, refused: Refused) -> None:
        root = "~no-such-user/artifacts"
        assert f"--default-artifact-root={root!r} cannot be used: " in refused(
            "--default-artifact-root", root
        )

    def test_a_name_that_no_file_system_takes_is_explained(self, refused: Refused, tmp_path: Path) -> None:
        root = str(tmp_path / ("x" * 300))
        assert "File name too long" in refused("--default-artifact-root", root)

    def test_a_storage_that_fails_its_check_is_explained(
        self, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failures: list[tuple[ArtifactError, BaseException | None]] = [
            (StorageUnavailable("The storage is away."), None),
            (StorageUnavailable("The storage is away."), OSError(5, "I/O error")),
        ]
        for error, cause in failures:

            def check(
                _: LocalStorage, error: ArtifactError = error, cause: BaseException | None = cause
            ) -> None:
                raise error from cause

            monkeypatch.setattr(LocalStorage, "check", check)
            message = refused("--default-artifact-root", str(tmp_path / "root"))
            assert "cannot be used: The storage is away" in message
            assert ("I/O error" in message) is (cause is not None)
            assert message.endswith(".\n")
            assert not message.endswith("..\n")


class TestS3:
    """Settings that cannot be: each is named as it was given, with the remedy, before anything is asked."""

    BUCKET = ("--default-artifact-root", "s3://bucket/path")

    @pytest.mark.parametrize(
        "name", ["--s3-endpoint-url", "ARTIFACT_PROXY_S3_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL"]
    )
    def test_an_endpoint_with_a_bucket_is_named_as_it_was_given(
        self, refused: Refused, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        value = "http://127.0.0.1:9000/bucket"
        if name.startswith("--"):
            message = refused(*self.BUCKET, name, value)
        else:
            monkeypatch.setenv(name, value)
            message = refused(*self.BUCKET)
        assert f"artifact-proxy: {name}={value!r} cannot be used: it carries the bucket" in message

    def test_a_root_that_is_an_endpoint_brings_the_setting_for_it(self, refused: Refused) -> None:
        message = refused("--default-artifact-root", "s3://minio:9000/bucket")
        assert "--default-artifact-root='s3://minio:9000/bucket' cannot be used: " in message
        assert "MLFLOW_S3_ENDPOINT_URL" in message

    def test_an_argument_of_uploads_that_is_none_is_named_without_its_value(
        self, refused: Refused, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_S3_UPLOAD_EXTRA_ARGS", '{"SSECustomKey": "Zx81"}')
        message = refused(*self.BUCKET)
        assert "artifact-proxy: MLFLOW_S3_UPLOAD_EXTRA_ARGS cannot be used: 'SSECustomKey'" in message
        assert "SSECustomerKey" in message
        assert "Zx81" not in message

    def test_a_region_that_is_nowhere_is_missed_by_its_name(
        self, refused: Refused, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        message = refused(*self.BUCKET)
        assert "--s3-region='' cannot be used: no region is configured" in message
        assert "AWS_DEFAULT_REGION" in message
        assert "MLFLOW_S3_ENDPOINT_URL" in message

    def test_certificates_are_not_both_ignored_and_checked(self, refused: Refused) -> None:
        message = refused(*self.BUCKET, "--s3-ignore-tls", "--s3-ca-bundle", __file__)
        assert "--s3-ignore-tls=True cannot be used: " in message
        assert "AWS_CA_BUNDLE" in message


class TestPresign:
    def test_a_local_root_has_no_presigned_urls(self, refused: Refused, tmp_path: Path) -> None:
        message = refused("--presign", "--default-artifact-root", str(tmp_path / "root"))
        assert "--presign=True cannot be used: " in message
        assert "has no presigned URLs; a root in S3 has" in message

    def test_a_redirection_needs_presigned_urls(self, refused: Refused, tmp_path: Path) -> None:
        message = refused("--presign-redirect-above", "1", "--default-artifact-root", str(tmp_path / "root"))
        assert "--presign-redirect-above=1 cannot be used: " in message
        assert "set --presign as well" in message


class TestAccelRedirect:
    def test_a_root_in_s3_has_no_files_for_nginx(self, refused: Refused) -> None:
        for command in ("serve", "check"):
            message = refused(
                *(command, "--default-artifact-root", "s3://bucket/path", "--s3-region", "eu-central-1"),
                *("--accel-redirect", "/_files"),
            )
            assert (
                "artifact-proxy: --accel-redirect='/_files' cannot be used: s3://bucket/path has no"
                in message
            )
            assert "a local root has" in message
            assert "--presign-redirect-above" in message


class TestListen:
    @pytest.fixture
    def root(self, tmp_path: Path) -> str:
        return str(tmp_path / "root")

    def test_a_port_in_use_is_explained(self, refused: Refused, root: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            message = refused("--port", port, "--default-artifact-root", root)
        assert port in message
        assert "Address already in use" in message
        assert "choose another" in message

    @pytest.mark.parametrize("host", ["203.0.113.1", "2001:db8::1", "::1::", "a" * 70, "a..b", "a b"])
    def test_an_address_that_is_not_of_this_machine_is_explained(
        self, refused: Refused, root: str, host: str
    ) -> None:
        message = refused("--host", host, "--default-artifact-root", root, "--insecure-no-auth")
        assert repr(host) in message
        assert "choose another address" in message


@pytest.mark.parametrize(
    "form",
    ["file://{}", "file://localhost{}", "file:{}", "FILE://{}", "{}", "{}/", "{}/../root", "file://{}/"],
)
def test_a_root_may_be_a_path_or_a_file_url(form: str, tmp_path: Path) -> None:
    settings = config.load({"default_artifact_root": form.format(tmp_path / "root")}, None).settings
    with open_storage(settings, prepare=True).create(ArtifactPath.parse("a")) as upload:
        upload.write(b"here")
        upload.commit()
    assert (tmp_path / "root" / "a").read_bytes() == b"here"


def test_the_escapes_of_a_file_url_are_decoded_and_those_of_a_path_are_not(tmp_path: Path) -> None:
    for root, name in [(f"file://{tmp_path}/a%20b%23c", "a b#c"), (f"{tmp_path}/a%20b", "a%20b")]:
        open_storage(config.load({"default_artifact_root": root}, None).settings, prepare=True).close()
        assert (tmp_path / name).is_dir()


def test_a_relative_root_is_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start, elsewhere = tmp_path / "start", tmp_path / "elsewhere"
    start.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(start)
    storage = open_storage(config.load({"default_artifact_root": "./artifacts"}, None).settings, prepare=True)
    monkeypatch.chdir(elsewhere)
    with storage.create(ArtifactPath.parse("a")) as upload:
        upload.commit()
    assert (start / "artifacts" / "a").is_file()
    assert list(elsewhere.iterdir()) == []


def test_a_worker_without_its_root_ends_with_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="mount it again"):
        open_app({"default_artifact_root": str(tmp_path)})
