"""Settings: which source wins, what is printed, and that secrets are never shown."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr, ValidationError

from app import config
from app.config import MLFLOW_VARIABLES, Settings, load
from app.storage import registry
from tests.support.configuration import refusal, write, written

pytestmark = pytest.mark.usefixtures("no_variables")

# By field: what the flag, our variable, MLflow's variable and the file say, and the default.
VALUES: dict[str, tuple[Any, Any, Any, Any, Any]] = {
    "default_artifact_root": ("/flag", "/ours", "/mlflows", "/file", "./artifacts"),
    "host": ("flag.test", "ours.test", "mlflows.test", "file.test", "127.0.0.1"),
    "port": (1001, 1002, 1003, 1004, 5500),
    "workers": (2, 3, 4, 5, 1),
    "static_prefix": ("/flag", "/ours", "/mlflows", "/file", ""),
}


def test_the_variables_of_mlflow_are_those_with_a_counterpart() -> None:
    assert MLFLOW_VARIABLES == {
        "default_artifact_root": "MLFLOW_ARTIFACTS_DESTINATION",
        "host": "MLFLOW_HOST",
        "port": "MLFLOW_PORT",
        "workers": "MLFLOW_WORKERS",
        "static_prefix": "MLFLOW_STATIC_PREFIX",
    }
    assert set(VALUES) == set(MLFLOW_VARIABLES)


@pytest.mark.parametrize("field", VALUES)
@pytest.mark.parametrize("strongest", range(5), ids=["flag", "ours", "mlflow's", "file", "default"])
def test_the_strongest_source_wins_and_is_named(
    field: str, strongest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag, ours, mlflows, file, _ = VALUES[field]
    flags = {field: str(flag)} if strongest <= 0 else {}
    if strongest <= 1:
        monkeypatch.setenv(f"ARTIFACT_PROXY_{field.upper()}", str(ours))
    if strongest <= 2:
        monkeypatch.setenv(MLFLOW_VARIABLES[field], str(mlflows))
    config_file = write(tmp_path, **({field: file} if strongest <= 3 else {}))

    loaded = load(flags, config_file)

    assert getattr(loaded.settings, field) == VALUES[field][strongest]
    origins = [
        f"--{field.replace('_', '-')}",
        f"ARTIFACT_PROXY_{field.upper()}",
        MLFLOW_VARIABLES[field],
        f"{field} in {config_file}",
        "default",
    ]
    assert loaded.origins[field] == origins[strongest]
    assert loaded.name_used(field) == (origins[0] if strongest == 4 else origins[strongest])
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
    for name in ("ARTIFACT_PROXY_PORT", "MLFLOW_PORT", "ARTIFACT_PROXY_READ_ONLY", "MLFLOW_STATIC_PREFIX"):
        monkeypatch.setenv(name, "")
    assert load({}, None).settings == load({}, write(tmp_path)).settings
    loaded = load({}, write(tmp_path, port=7))
    assert (loaded.settings.port, loaded.settings.read_only) == (7, False)


def test_variables_that_are_no_setting_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTIFACT_PROXY_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
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
        ],
        ids=str,
    )
    def test_it_is_toml_that_gives_the_same_settings(self, flags: dict[str, Any], tmp_path: Path) -> None:
        loaded = load(flags, None)
        printed = loaded.printed()
        assert tomllib.loads(printed) == loaded.settings.model_dump()
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
