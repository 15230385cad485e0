"""Settings: which source wins, and which values there may be."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import ValidationError

from app.config import load
from app.fields import known_as
from app.settings import settings_class
from tests.support.configuration import plain, write, written

pytestmark = pytest.mark.usefixtures("no_variables")


class Sources(NamedTuple):
    """What each source says of one field, best first."""

    flag: Any
    ours: Any
    known: dict[str, Any]
    """By variables that mean it elsewhere."""
    file: Any
    default: Any

    def origins(self, field: str, config_file: str) -> list[tuple[str, Any]]:
        """What each source is called, and the value that it has."""
        return [
            (f"--{field.replace('_', '-')}", self.flag),
            (f"ARTIFACT_PROXY_{field.upper()}", self.ours),
            *self.known.items(),
            (f"{field} in {config_file}", self.file),
            ("default", self.default),
        ]


VALUES = {
    "default_artifact_root": Sources(
        "/flag", "/ours", {"MLFLOW_ARTIFACTS_DESTINATION": "/mlflows"}, "/file", "./artifacts"
    ),
    "host": Sources("flag.test", "ours.test", {"MLFLOW_HOST": "mlflows.test"}, "file.test", "127.0.0.1"),
    "port": Sources(1001, 1002, {"MLFLOW_PORT": 1003}, 1004, 5500),
    "workers": Sources(2, 3, {"MLFLOW_WORKERS": 4}, 5, 1),
    "static_prefix": Sources("/flag", "/ours", {"MLFLOW_STATIC_PREFIX": "/mlflows"}, "/file", ""),
    "forwarded_allow_ips": Sources(
        "10.0.0.1", "10.0.0.0/8", {"FORWARDED_ALLOW_IPS": "*"}, "::1", "127.0.0.1,::1"
    ),
    "s3_endpoint_url": Sources(
        "http://flag",
        "http://ours",
        {
            "MLFLOW_S3_ENDPOINT_URL": "http://mlflows",
            "AWS_ENDPOINT_URL_S3": "http://aws-s3",
            "AWS_ENDPOINT_URL": "http://aws",
        },
        "http://file",
        "",
    ),
    "s3_region": Sources(
        "flag-1", "ours-1", {"AWS_DEFAULT_REGION": "default-1", "AWS_REGION": "aws-1"}, "file-1", ""
    ),
    "s3_addressing_style": Sources(
        "path", "virtual", {"MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "path"}, "virtual", "auto"
    ),
    "s3_ignore_tls": Sources(True, False, {"MLFLOW_S3_IGNORE_TLS": True}, True, False),
    "s3_ca_bundle": Sources("/flag.pem", "/ours.pem", {"AWS_CA_BUNDLE": "/aws.pem"}, "/file.pem", ""),
    "s3_upload_extra_args": Sources(
        '{"ACL": "flag"}',
        '{"ACL": "ours"}',
        {"MLFLOW_S3_UPLOAD_EXTRA_ARGS": '{"ACL": "mlflows"}'},
        '{"ACL": "file"}',
        "",
    ),
    "s3_expected_bucket_owner": Sources(
        "1" * 12, "2" * 12, {"MLFLOW_S3_EXPECTED_BUCKET_OWNER": "3" * 12}, "4" * 12, ""
    ),
    "s3_signature_version": Sources(
        "s3", "unsigned", {"MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION": "s3"}, "unsigned", "s3v4"
    ),
    "s3_timeout": Sources(1, 2, {"MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": -1}, 4, 60),
    "s3_presigned_url_ttl": Sources(1, 2, {"MLFLOW_PRESIGNED_DOWNLOAD_URL_TTL_SECONDS": 3}, 4, 300),
}
CASES = [
    (field, strongest)
    for field, sources in VALUES.items()
    for strongest in range(len(sources.origins(field, "")))
]


def test_the_variables_known_from_elsewhere_are_those_with_a_counterpart() -> None:
    fields = settings_class().model_fields
    known = {name: known_as(field) for name, field in fields.items() if known_as(field)}
    assert known == {name: tuple(sources.known) for name, sources in VALUES.items()}


@pytest.mark.parametrize(("field", "strongest"), CASES)
def test_the_strongest_source_wins_and_is_named(
    field: str, strongest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config_file = str(tmp_path / "settings.toml")
    origins = VALUES[field].origins(field, config_file)
    (flag, given), *variables, (_, in_file), _ = origins
    flags = {field: str(given)} if strongest == 0 else {}
    for name, value in variables[max(strongest - 1, 0) :]:
        monkeypatch.setenv(name, str(value))
    write(tmp_path, **({field: in_file} if strongest <= len(variables) + 1 else {}))

    loaded = load(flags, config_file)

    origin, expected = origins[strongest]
    assert plain(getattr(loaded.settings, field)) == expected
    assert loaded.origins[field] == origin
    assert loaded.name_used(field) == (flag if origin == "default" else origin)
    others = {name: origin for name, origin in loaded.origins.items() if name != field}
    assert set(others.values()) == {"default"}


@pytest.mark.parametrize(
    ("field", "file", "variable", "flag"),
    [
        ("root_path", "/file", "/variable", "/flag"),
        ("accel_redirect", "/file", "/variable", "/flag"),
        ("read_only", False, "true", False),
        ("no_delete", True, "false", True),
        ("access_log", True, "0", True),
        ("storage_threads", 5, "6", 7),
        ("sweep_interval", 1.5, "2.5", 3.5),
        ("keep_alive", 5, "6", 7),
        ("durability", "full", "none", "full"),
        ("presign", False, "true", False),
        ("presign_redirect_above", 1, "2", 3),
        ("s3_public_endpoint_url", "http://file", "http://variable", "http://flag"),
        ("s3_part_size", 6_000_000, "7000000", 8_000_000),
        ("s3_upload_memory", 6_000_000, "7000000", 8_000_000),
        ("s3_abandoned_upload_age", 1, "2", 3),
    ],
)
def test_settings_without_a_counterpart_follow_the_same_order(
    field: str, file: object, variable: str, flag: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config_file = write(tmp_path, **{field: file})
    assert getattr(load({}, config_file).settings, field) == file
    monkeypatch.setenv(f"ARTIFACT_PROXY_{field.upper()}", variable)
    from_variable = getattr(load({}, config_file).settings, field)
    assert from_variable != file
    assert load({}, config_file).origins[field] == f"ARTIFACT_PROXY_{field.upper()}"
    assert getattr(load({field: flag}, config_file).settings, field) == flag != from_variable


def test_each_value_comes_from_its_own_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTIFACT_PROXY_HOST", "::1")
    monkeypatch.setenv("MLFLOW_WORKERS", "3")
    config_file = write(tmp_path, keep_alive=9, port=1)
    loaded = load({"port": "2"}, config_file)
    shown = {name: (getattr(loaded.settings, name), origin) for name, origin in loaded.origins.items()}
    assert shown["port"] == (2, "--port")
    assert shown["host"] == ("::1", "ARTIFACT_PROXY_HOST")
    assert shown["workers"] == (3, "MLFLOW_WORKERS")
    assert shown["keep_alive"] == (9, f"keep_alive in {config_file}")
    assert shown["access_log"] == (True, "default")


def test_an_empty_variable_is_as_good_as_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ARTIFACT_PROXY_PORT", "MLFLOW_PORT", "ARTIFACT_PROXY_READ_ONLY", "MLFLOW_STATIC_PREFIX",
                 "MLFLOW_S3_ENDPOINT_URL", "AWS_CA_BUNDLE", "MLFLOW_S3_UPLOAD_EXTRA_ARGS"):  # fmt: skip
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://aws")
    assert load({}, None).settings.model_dump()["s3_endpoint_url"] == "http://aws", "the next best one counts"
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert load({}, None).settings == load({}, write(tmp_path)).settings
    loaded = load({}, write(tmp_path, port=7))
    assert (loaded.settings.port, loaded.settings.read_only) == (7, False)


def test_variables_that_are_no_setting_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTIFACT_PROXY_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    assert set(load({}, None).origins.values()) == {"default"}


@pytest.mark.parametrize("field", ["static_prefix", "root_path", "accel_redirect"])
@pytest.mark.parametrize(
    ("given", "path"),
    [
        *(("", ""), ("/mlflow", "/mlflow"), ("/mlflow/", "/mlflow"), ("/a/b//", "/a/b")),
        *(("/_files", "/_files"), ("/~me/A-1.x_/2", "/~me/A-1.x_/2")),
    ],
)
def test_a_path_among_the_settings_has_no_final_slash(field: str, given: str, path: str) -> None:
    assert getattr(load({field: given}, None).settings, field) == path


@pytest.mark.parametrize("field", ["static_prefix", "root_path"])
def test_a_path_that_is_only_a_slash_is_none(field: str) -> None:
    assert getattr(load({field: "/"}, None).settings, field) == ""


@pytest.mark.parametrize(
    "addresses",
    [
        *(
            "",
            "*",
            " * ",
            "127.0.0.1",
            "::1",
            "0:0:0:0:0:0:0:1",
            "10.0.0.0/8",
            "10.0.0.0/255.0.0.0",
            "fd00::/8",
        ),
        *(
            "10.0.0.1,10.0.0.2",
            "10.0.0.1, ::1 ,\tfd00::/8 ",
            "0.0.0.0/0, ::/0",
            "10.0.0.1/32",
            "::ffff:10.0.0.1",
        ),
    ],
)
def test_trusted_proxies_are_addresses_and_networks_or_all(addresses: str) -> None:
    assert load({"forwarded_allow_ips": addresses}, None).settings.forwarded_allow_ips == addresses.strip()


def test_settings_do_not_change_any_more() -> None:
    settings = load({}, None).settings
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="unknown"):
        settings_class()(unknown=1)  # type: ignore[call-arg]  # which is what is tried


def test_a_server_process_gets_the_same_settings() -> None:
    loaded = load({"port": "0", "read_only": True, "sweep_interval": "1.5", "durability": "none"}, None)
    assert settings_class()(**loaded.settings.model_dump()) == loaded.settings


class TestFile:
    def test_an_empty_file_changes_nothing(self, tmp_path: Path) -> None:
        assert load({}, written(tmp_path, "# nothing\n")).settings == load({}, None).settings

    @pytest.mark.parametrize("name", ["{0}.toml", "{name}.toml", "{.toml", "a b#c.toml", "é.toml", "%s.toml"])
    def test_a_file_may_have_any_name(self, name: str, tmp_path: Path) -> None:
        config_file = written(tmp_path, "port = 1\n", name)
        loaded = load({}, config_file)
        assert loaded.origins["port"] == f"port in {config_file}"
        assert tomllib.loads(loaded.printed())["port"] == 1

    @pytest.mark.parametrize("text", ["port = '1'", "port = 1", "read_only = true", "read_only = 'yes'"])
    def test_values_may_be_written_as_text(self, text: str, tmp_path: Path) -> None:
        assert load({}, written(tmp_path, text)).settings != load({}, None).settings
