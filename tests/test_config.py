"""Settings: which source wins, what is printed, and that secrets are never shown."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel, Field, SecretStr, ValidationError

from app import config
from app.config import Settings, load
from app.fields import known_as
from app.storage import registry
from tests.support.configuration import refusal, write, written

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


def plain(value: object) -> object:
    """A setting as it was given, also where it is secret."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def test_the_variables_known_from_elsewhere_are_those_with_a_counterpart() -> None:
    fields = config.settings_class().model_fields
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


@pytest.mark.parametrize(
    ("given", "prefix"),
    [("", ""), ("/", ""), ("/mlflow", "/mlflow"), ("/mlflow/", "/mlflow"), ("/a/b//", "/a/b")],
)
def test_a_static_prefix_has_no_final_slash(given: str, prefix: str) -> None:
    assert load({"static_prefix": given}, None).settings.static_prefix == prefix


def test_settings_do_not_change_any_more() -> None:
    settings = load({}, None).settings
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="unknown"):
        config.settings_class()(unknown=1)  # type: ignore[call-arg]


def test_a_server_process_gets_the_same_settings() -> None:
    loaded = load({"port": "0", "read_only": True, "sweep_interval": "1.5", "durability": "none"}, None)
    assert config.settings_class()(**loaded.settings.model_dump()) == loaded.settings


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


class TestPrinted:
    @pytest.mark.parametrize(
        "flags",
        [
            {},
            {"port": "0", "workers": "4", "read_only": True, "access_log": False, "durability": "none"},
            {"sweep_interval": "0.25", "static_prefix": "/a/b/", "host": "::"},
            {"sweep_interval": "1e300"},
            {"s3_endpoint_url": "http://[::1]:9000", "s3_timeout": "-1", "s3_ignore_tls": True},
        ],
        ids=str,
    )
    def test_it_is_toml_that_gives_the_same_settings(self, flags: dict[str, Any], tmp_path: Path) -> None:
        loaded = load(flags, None)
        printed = loaded.printed()
        values = {name: plain(value) for name, value in loaded.settings.model_dump().items()}
        assert tomllib.loads(printed) == values
        assert load({}, written(tmp_path, printed)).settings == loaded.settings

    @pytest.mark.parametrize(
        "root",
        [
            *("/srv/a b", 'quo"ted', "it's", "back\\slash", "#hash", "${HOME}", "= [x]"),
            *("tab\there", "line\nbreak"),
            *("\x01", "\x7f", "\x85", "é", "日本語", "\u202e", "\ufeff", "😀", "\U0010ffff"),
        ],
        ids=ascii,
    )
    def test_it_is_toml_whatever_a_directory_is_called(self, root: str, tmp_path: Path) -> None:
        printed = load({"default_artifact_root": root}, None).printed()
        assert load({}, written(tmp_path, printed)).settings.default_artifact_root == root

    def test_each_line_says_where_its_value_is_from(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ARTIFACT_PROXY_HOST", "::1")
        monkeypatch.setenv("MLFLOW_PORT", "9")
        config_file = write(tmp_path, workers=2)
        lines = load({"read_only": True}, config_file).printed().splitlines()
        assert 'host = "::1"  # ARTIFACT_PROXY_HOST' in lines
        assert "port = 9  # MLFLOW_PORT" in lines
        assert f"workers = 2  # workers in {config_file}" in lines
        assert "read_only = true  # --read-only" in lines
        assert "no_delete = false  # default" in lines
        assert [line.split(" = ")[0] for line in lines] == list(config.settings_class().model_fields)

    def test_the_arguments_of_uploads_may_hold_keys_and_are_not_shown(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_S3_UPLOAD_EXTRA_ARGS", '{"SSECustomerKey": "Zx81"}')
        loaded = load({}, None)
        assert 's3_upload_extra_args = "**********"  # MLFLOW_S3_UPLOAD_EXTRA_ARGS' in loaded.printed()
        for shown in (loaded.printed(), repr(loaded), str(loaded.settings.model_dump())):
            assert "Zx81" not in shown


class BackendSettings(BaseModel):
    """What a backend with credentials would bring."""

    key_id: str = Field("", description="The name of the key.")
    key_secret: SecretStr = Field(SecretStr(""), max_length=20, description="The key itself.")


class OptionalBackendSettings(BaseModel):
    session_token: SecretStr | None = Field(None, max_length=20, description="For temporary keys.")


@pytest.fixture
def _with_a_backend_that_has_secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(registry, "settings_models", lambda: [BackendSettings, OptionalBackendSettings])
        config.settings_class.cache_clear()
        yield
    config.settings_class.cache_clear()


SECRET = "Zx81-very-secret"  # noqa: S105


@pytest.mark.usefixtures("_with_a_backend_that_has_secrets")
class TestSecrets:
    def test_the_settings_of_a_backend_come_behind_our_own(self) -> None:
        fields = list(config.settings_class().model_fields)
        assert fields[: len(Settings.model_fields)] == list(Settings.model_fields)
        assert fields[len(Settings.model_fields) :] == ["session_token", "key_id", "key_secret"]

    def test_a_secret_is_read_like_any_value(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from_file = load({}, write(tmp_path, key_secret=SECRET)).settings
        monkeypatch.setenv("ARTIFACT_PROXY_KEY_SECRET", SECRET)
        from_variable = load({}, None).settings
        for settings in (from_file, from_variable):
            assert settings.model_dump()["key_secret"].get_secret_value() == SECRET

    def test_a_secret_is_never_shown(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ARTIFACT_PROXY_KEY_SECRET", SECRET)
        monkeypatch.setenv("ARTIFACT_PROXY_SESSION_TOKEN", SECRET)
        loaded = load({"key_id": "me"}, None)
        for shown in (
            loaded.printed(),
            repr(loaded),
            str(loaded.settings),
            str(loaded.settings.model_dump()),
        ):
            assert SECRET not in shown
        values = tomllib.loads(loaded.printed())
        assert (values["key_id"], values["key_secret"]) == ("me", "**********")
        assert "# ARTIFACT_PROXY_KEY_SECRET" in loaded.printed()

    def test_whether_a_secret_is_set_is_shown(self) -> None:
        assert tomllib.loads(load({}, None).printed())["key_secret"] == ""

    def test_a_secret_that_is_not_set_is_not_printed_as_one(self, tmp_path: Path) -> None:
        printed = load({}, None).printed()
        again = load({}, written(tmp_path, printed)).settings
        assert again.model_dump()["session_token"] is None

    @pytest.mark.parametrize("field", ["key_secret", "session_token"])
    @pytest.mark.parametrize("value", ["much-too-long-" * 3, "tcp://10.96.0.7:12345678"])
    def test_a_secret_that_cannot_be_used_is_not_repeated(
        self, field: str, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(f"ARTIFACT_PROXY_{field.upper()}", value)
        message = refusal({})
        assert value not in message
        assert f"ARTIFACT_PROXY_{field.upper()}" in message
        assert "at most 20" in message
