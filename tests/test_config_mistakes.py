"""How a setting, a value or a file that cannot be is explained, under the name by which it was given."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import config
from app.config import MLFLOW_VARIABLES
from tests.support.configuration import refusal, write, written

pytestmark = pytest.mark.usefixtures("no_variables")


class TestFile:
    @pytest.mark.parametrize(
        ("key", "hint"),
        [("prot", "'port'"), ("worker", "'workers'"), ("artifact_root", "'default_artifact_root'")],
    )
    def test_an_unknown_key_brings_the_one_that_was_meant(self, key: str, hint: str, tmp_path: Path) -> None:
        config_file = write(tmp_path, **{key: 1})
        message = refusal({}, config_file)
        assert f"{key!r} in {config_file}" in message
        assert f"did you mean {hint}?" in message

    @pytest.mark.parametrize("text", ["zzz = 1", "[server]\nport = 1", "default-artifact-root.x = 1\n"])
    def test_an_unknown_key_without_a_likeness_brings_the_help(self, text: str, tmp_path: Path) -> None:
        message = refusal({}, written(tmp_path, text))
        assert "is no setting" in message
        assert "--help" in message or "did you mean" in message

    def test_a_file_that_is_missing_or_a_directory_is_named(self, tmp_path: Path) -> None:
        for file, reason in [(tmp_path / "missing.toml", "No such file"), (tmp_path, "Is a directory")]:
            message = refusal({}, str(file))
            assert repr(str(file)) in message
            assert reason in message
            assert "--config" in message

    @pytest.mark.parametrize(
        "text",
        ["port = ", "port 1", "port: 1", "port = 1\nport = 2", "{", b"host = '\xff'", b"\xff\xfeh\0"],
        ids=ascii,
    )
    def test_a_file_that_is_not_toml_is_named(self, text: str | bytes, tmp_path: Path) -> None:
        config_file = written(tmp_path, text)
        message = refusal({}, config_file)
        assert repr(config_file) in message
        assert "not TOML" in message


# By field: values that cannot be, and what their message says.
IMPOSSIBLE = [
    ("port", "-1", "0"),
    ("port", "65536", "65535"),
    ("port", "http", "integer"),
    ("port", "80.5", "integer"),
    ("workers", "0", "1"),
    ("workers", "257", "256"),
    ("workers", "many", "integer"),
    ("storage_threads", "0", "1"),
    ("storage_threads", "100000", "1024"),
    ("sweep_interval", "0", "greater than 0"),
    ("sweep_interval", "-5", "greater than 0"),
    ("sweep_interval", "nan", "greater than 0"),
    ("sweep_interval", "soon", "number"),
    ("keep_alive", "0", "1"),
    ("read_only", "maybe", "boolean"),
    ("access_log", "2", "boolean"),
    ("durability", "some", "'full' or 'none'"),
    ("static_prefix", "mlflow", "such as /mlflow"),
    ("static_prefix", "//mlflow", "such as /mlflow"),
    ("static_prefix", "/a//b", "such as /mlflow"),
    ("static_prefix", "/é", "such as /mlflow"),
    ("static_prefix", "http://host/mlflow", "such as /mlflow"),
]


@pytest.mark.parametrize(("field", "value", "reason"), IMPOSSIBLE)
class TestImpossibleValue:
    """Its message has the name under which it was given, the value, and what would do."""

    def test_as_a_flag(self, field: str, value: str, reason: str) -> None:
        self.judge(refusal({field: value}), f"--{field.replace('_', '-')}={value!r}", field, reason)

    def test_as_a_variable(
        self, field: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(f"ARTIFACT_PROXY_{field.upper()}", value)
        self.judge(refusal({}), f"ARTIFACT_PROXY_{field.upper()}={value!r}", field, reason)
        if field in MLFLOW_VARIABLES:
            monkeypatch.delenv(f"ARTIFACT_PROXY_{field.upper()}")
            monkeypatch.setenv(MLFLOW_VARIABLES[field], value)
            self.judge(refusal({}), f"{MLFLOW_VARIABLES[field]}={value!r}", field, reason)

    def test_in_the_file(self, field: str, value: str, reason: str, tmp_path: Path) -> None:
        config_file = write(tmp_path, **{field: value})
        self.judge(refusal({}, config_file), f"{field} in {config_file}={value!r}", field, reason)

    @staticmethod
    def judge(message: str, given: str, field: str, reason: str) -> None:
        assert message.startswith(f"{given} cannot be used: ")
        assert reason in message
        description = config.settings_class().model_fields[field].description
        assert description
        assert description in message
        assert "pydantic" not in message.lower()


@pytest.mark.parametrize("value", [[1], {"a": 1}, 1.5])
def test_a_value_of_another_type_is_explained(value: object, tmp_path: Path) -> None:
    text = {"[1]": "port = [1]", "{'a': 1}": "port = {a = 1}", "1.5": "port = 1.5"}[str(value)]
    assert f"={value!r} cannot be used" in refusal({}, written(tmp_path, text))


def test_the_variables_that_kubernetes_sets_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTIFACT_PROXY_PORT", "tcp://10.96.0.7:5500")
    message = refusal({})
    assert message.startswith("ARTIFACT_PROXY_PORT='tcp://10.96.0.7:5500' cannot be used: ")
    assert "Kubernetes" in message
    assert "enableServiceLinks: false" in message
    monkeypatch.setenv("ARTIFACT_PROXY_PORT", "tcp")
    assert "Kubernetes" not in refusal({})


@pytest.mark.parametrize("name", ["ARTIFACT_PROXY_READ_ONLI", "ARTIFACT_PROXY_DEFAULT_ARTIFACTS_ROOT"])
def test_a_mistyped_variable_is_not_ignored(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "true")
    assert refusal({}).startswith(f"{name} in the environment is no setting; did you mean ARTIFACT_PROXY_")


@pytest.mark.parametrize(
    "name",
    [
        "ARTIFACT_PROXY_SERVICE_HOST",
        "ARTIFACT_PROXY_SERVICE_PORT",
        "ARTIFACT_PROXY_PORT_5500_TCP",
        "ARTIFACT_PROXY_PORT_5500_TCP_ADDR",
        "ARTIFACT_PROXY_SERVER",
        "ARTIFACT_PROXY_TOKEN",
    ],
)
def test_a_variable_of_others_is_ignored(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "10.0.0.1")
    assert set(config.load({}, None).origins.values()) == {"default"}


def test_a_truth_value_is_no_number(tmp_path: Path) -> None:
    assert "port in" in refusal({}, written(tmp_path, "port = true"))


@pytest.mark.parametrize(
    "prefix", ["/api", "/v1/x", "/docs", "/health", "/a b", "/a?b", "/%41", "a", "/a//b"]
)
def test_a_static_prefix_that_would_hide_routes_or_match_nothing_is_refused(prefix: str) -> None:
    assert refusal({"static_prefix": prefix}).startswith(f"--static-prefix={prefix!r} cannot be used")
