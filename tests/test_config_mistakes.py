"""How a setting, a value or a file that cannot be is explained, under the name by which it was given."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import cli, config
from app.config import flag_name
from app.fields import known_as
from app.settings import settings_class
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


MIB = 1024 * 1024

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
    ("root_path", "artifacts", "such as /artifacts"),
    ("root_path", "//artifacts", "such as /artifacts"),
    ("root_path", "https://host/artifacts", "such as /artifacts"),
    ("root_path", "/a b", "such as /artifacts"),
    ("root_path", "/a\n", "such as /artifacts"),
    ("root_path", "/%41", "such as /artifacts"),
    ("root_path", "/a?b", "such as /artifacts"),
    ("forwarded_allow_ips", "proxy", "'proxy' does not appear to be an IPv4 or IPv6 network; give addresses"),
    ("forwarded_allow_ips", "10.0.0.1/8", "10.0.0.1/8 has host bits set; give addresses such as 10.0.0.1 or"),
    ("forwarded_allow_ips", "10.0.0.1,proxy.example", "'proxy.example' does not appear"),
    ("forwarded_allow_ips", "10.0.0.1 10.0.0.2", "'10.0.0.1 10.0.0.2' does not appear"),
    ("forwarded_allow_ips", "10.0.0.1,", "'' does not appear"),
    ("forwarded_allow_ips", "*,10.0.0.1", "'*' does not appear"),
    ("forwarded_allow_ips", "10.0.0.*", "or 10.0.0.0/8, or *"),
    ("forwarded_allow_ips", "10.0.0.1:80", "does not appear"),
    ("forwarded_allow_ips", "[::1]", "does not appear"),
    ("forwarded_allow_ips", "300.0.0.1", "does not appear"),
    ("forwarded_allow_ips", "10.0.0.0/33", "does not appear"),
    ("forwarded_allow_ips", "none", "does not appear"),
    *(
        ("cors_allowed_origins", value, "is no origin as browsers send it; give scheme, host and port alone")
        for value in (
            "*",
            "null",
            "app.example.com",
            "https://",
            "https://App.example.com",
            "ftp://a.example",
        )
    ),
    ("cors_allowed_origins", "https://a.example,https://b.example/", "'https://b.example/' is no origin"),
    ("allowed_hosts", "https://ml.example.com", "is no host name; give names without scheme and port"),
    ("allowed_hosts", "ml.example.com, ml.example.com:80", "'ml.example.com:80' is no host name"),
    ("allowed_hosts", "*.*.example.com", "is no host name"),
    ("quotas", "{", "it is no JSON"),
    ("quotas", "[1]", 'it is JSON, but no object; write {"users/": 1000000000}'),
    ("quotas", '{"../x": 1}', "'../x'"),
    ("quotas", '{"users/": "1"}', "the quota of 'users/' is no number of bytes"),
    ("quotas", '{"users/": -1}', "the quota of 'users/' is no number of bytes"),
    ("max_artifact_size", "-1", "greater than or equal to 0"),
    ("max_target_size", "70000", "65536"),
    ("transfer_patience", "0", "greater than 0"),
    ("cors_allowed_origins", "https://ä.example", "is no origin"),
    ("cors_allowed_origins", "https://a.example:x", "is no origin"),
    ("accel_redirect", "_files", "such as /_files"),
    ("accel_redirect", "//_files", "such as /_files"),
    ("accel_redirect", "/a//b", "such as /_files"),
    ("accel_redirect", "/a/%2e%2e", "such as /_files"),
    ("accel_redirect", "/a\r\nX-Header: x", "such as /_files"),
    ("accel_redirect", "http://nginx/_files", "such as /_files"),
    ("accel_redirect", "/v1", "routes of the server itself begin so; choose another path, such as /_files"),
    ("accel_redirect", "/api/files/", "routes of the server itself"),
    ("accel_redirect", "/", "the server itself is there"),
    ("accel_redirect", "/_files/..", "no '.' or '..' as a segment, such as /_files"),
    ("root_path", "/a/../b", "no '.' or '..' as a segment, such as /artifacts"),
    ("static_prefix", "/.", "no '.' or '..' as a segment, such as /mlflow"),
    ("presign", "sometimes", "boolean"),
    ("presign_redirect_above", "-1", "greater than or equal to 0"),
    ("s3_addressing_style", "host", "'auto', 'path' or 'virtual'"),
    ("s3_signature_version", "v4", "'s3v4', 's3' or 'unsigned'"),
    ("s3_ignore_tls", "http", "boolean"),
    ("s3_timeout", "0", "-1 for no limit"),
    ("s3_timeout", "-2", "-1"),
    ("s3_timeout", "1.5", "integer"),
    ("s3_expected_bucket_owner", "12345678901", "[0-9]{12}"),
    ("s3_expected_bucket_owner", "1234567890123", "[0-9]{12}"),
    ("s3_expected_bucket_owner", "me", "12 digits"),
    ("s3_presigned_url_ttl", "0", "1"),
    ("s3_presigned_url_ttl", "604801", "604800"),
    ("s3_part_size", str(5 * MIB - 1), str(5 * MIB)),
    ("s3_part_size", str(5 * 1024 * MIB + 1), str(5 * 1024 * MIB)),
    ("s3_upload_memory", str(5 * MIB - 1), str(5 * MIB)),
    ("s3_abandoned_upload_age", "0", "1"),
    ("s3_abandoned_upload_age", "604801", "604800"),
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
        monkeypatch.delenv(f"ARTIFACT_PROXY_{field.upper()}")
        for known in known_as(settings_class().model_fields[field]):
            monkeypatch.setenv(known, value)
            self.judge(refusal({}), f"{known}={value!r}", field, reason)
            monkeypatch.delenv(known)

    def test_in_the_file(self, field: str, value: str, reason: str, tmp_path: Path) -> None:
        config_file = write(tmp_path, **{field: value})
        self.judge(refusal({}, config_file), f"{field} in {config_file}={value!r}", field, reason)

    @staticmethod
    def judge(message: str, given: str, field: str, reason: str) -> None:
        assert message.startswith(f"{given} cannot be used: ")
        assert reason in message
        description = settings_class().model_fields[field].description
        assert description
        assert description in message
        assert "pydantic" not in message.lower()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("SSECustomerKey=Zx81", "no JSON"),
        ('{"SSECustomerKey": "Zx81"', "no JSON"),
        ("{'SSECustomerKey': 'Zx81'}", "no JSON"),
        ("**********", "no JSON"),
        ('["SSECustomerKey", "Zx81"]', "no object"),
        ('"Zx81"', "no object"),
        ("81", "no object"),
        ("null", "no object"),
    ],
)
@pytest.mark.parametrize("name", ["ARTIFACT_PROXY_S3_UPLOAD_EXTRA_ARGS", "MLFLOW_S3_UPLOAD_EXTRA_ARGS"])
def test_arguments_of_uploads_that_are_no_object_are_explained_and_not_repeated(
    name: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    message = refusal({})
    assert message.startswith(f"{name} cannot be used: ")
    assert reason in message
    assert "81" not in message
    assert "JSON object with boto3's ExtraArgs" in message


@pytest.mark.parametrize("field", ["default_artifact_root", "s3_endpoint_url", "s3_public_endpoint_url"])
class TestCredentialsInAUrl:
    """A URL is no place for them, but whoever puts them there does not want them in a log."""

    def test_are_not_printed(self, field: str) -> None:
        printed = config.load({field: "http://ours:Zx81@minio:9000/p"}, None).printed()
        (line,) = [line for line in printed.splitlines() if line.startswith(f"{field} = ")]
        assert '***@minio:9000/p"' in line
        assert "Zx81" not in printed

    def test_are_not_repeated_where_they_are_refused(self, field: str) -> None:
        loaded = config.load({field: "s3://ours:Zx81@minio/p"}, None)
        message = str(loaded.refused(field, "of a reason"))
        assert message.startswith(f"{flag_name(field)}='s3://")
        assert message.endswith("***@minio/p' cannot be used: of a reason.")
        assert "Zx81" not in message


@pytest.mark.parametrize(
    ("flag", "url"),
    [
        ("--default-artifact-root", "s3://ours:Zx81@minio:9000/bucket"),
        ("--default-artifact-root", "https://ours:Zx81@minio:9000/bucket"),
        ("--default-artifact-root", "gs://ours:Zx81@bucket/path"),
        ("--default-artifact-root", "file://ours:Zx81@host/path"),
        ("--s3-endpoint-url", "http://ours:Zx81@minio:9000"),
        ("--s3-endpoint-url", "ftp://ours:Zx81@minio:9000"),
        ("--s3-public-endpoint-url", "http://ours:Zx81@minio:9000"),
        ("--cors-allowed-origins", "https://ours:Zx81@a.example"),
        ("--allowed-hosts", "https://ours:Zx81@a.example"),
        ("--forwarded-allow-ips", "https://ours:Zx81@a.example"),
    ],
)
def test_a_start_that_credentials_in_a_url_prevent_does_not_tell_them(
    flag: str, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", "--default-artifact-root", "s3://bucket/path", flag, url]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    scheme, _, place = url.partition("ours:Zx81@")
    assert said.err.startswith(f"artifact-proxy: {flag}='{scheme}")
    assert f"***@{place}' cannot be used: " in said.err
    assert "Zx81" not in said.err


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


@pytest.mark.parametrize("password", ["Zx/81", "Zx@81", "Zx:/@81"])
def test_a_password_in_a_url_may_hold_any_character_and_is_not_told(
    password: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", "--default-artifact-root", f"s3://ours:{password}@bucket/path"]) == 2
    assert "s3://ours:***@bucket/path" in (said := capsys.readouterr().err)
    assert "81" not in said
