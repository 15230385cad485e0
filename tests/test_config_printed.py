"""Settings as they are printed, with their origins; secrets are never shown."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr

from app.config import load
from app.settings import Settings, settings_class
from app.storage import registry
from tests.support.configuration import plain, refusal, write, written

pytestmark = pytest.mark.usefixtures("no_variables")


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
        assert [line.split(" = ")[0] for line in lines] == list(settings_class().model_fields)

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
        settings_class.cache_clear()
        yield
    settings_class.cache_clear()


SECRET = "Zx81-very-secret"  # noqa: S105 - opens nothing


@pytest.mark.usefixtures("_with_a_backend_that_has_secrets")
class TestSecrets:
    def test_the_settings_of_a_backend_come_behind_our_own(self) -> None:
        fields = list(settings_class().model_fields)
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
