"""Settings of a root in S3 that are refused before the store is asked, and those at the edge."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app import config, main
from app.fields import RefusedSetting
from app.storage.entry import Entry
from app.storage.s3 import S3Settings
from app.storage.s3.storage import S3Storage
from tests.support.artifacts import path
from tests.support.s3_variables import opened

MIB = 1024 * 1024
GIB = 1024 * MIB


def refusal(field: str, url: str = "s3://bucket/path", **values: object) -> str:
    """Why opening the storage refuses the field, before anything is asked of the store."""
    with pytest.raises(RefusedSetting) as caught:
        opened(url, **values)
    assert caught.value.field == field
    return str(caught.value)


@pytest.fixture
def aws_config_file(no_variables: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The place of AWS's configuration file, where nothing of the user's own is configured."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return tmp_path / "config"


@pytest.mark.usefixtures("aws_config_file")
class TestEndpoint:
    FIELDS = pytest.mark.parametrize("field", ["s3_endpoint_url", "s3_public_endpoint_url"])

    @FIELDS
    @pytest.mark.parametrize(
        "endpoint",
        [
            *("minio", "minio:9000", "//minio:9000", "ftp://minio:9000", "s3://bucket", "file:///srv"),
            *("http:", "http://", "http:///bucket", "https://:9000", "http://minio:99999", "http://minio:x"),
            *("http://minio:0", "http://[::1", "http://[minio]:9000", "http://minio :9000", "http://a..b:1"),
            *("http://my_minio:9000", "http://-:9000", "nonsense", " ", "http://\n"),
        ],
        ids=ascii,
    )
    def test_that_is_no_server_is_refused_with_an_example(self, field: str, endpoint: str) -> None:
        assert "http://minio:9000" in refusal(field, **{field: endpoint})

    @FIELDS
    @pytest.mark.parametrize(
        ("endpoint", "shown"),
        [
            ("http://minio:9000/bucket", "'/bucket'"),
            ("http://minio:9000/bucket/", "'/bucket/'"),
            ("http://minio:9000//", "'//'"),
            ("https://minio/a/b", "'/a/b'"),
            ("http://minio:9000?x=y", "'x=y'"),
            ("http://minio:9000/#here", "'/'"),
        ],
    )
    def test_with_more_than_a_server_is_refused(self, field: str, endpoint: str, shown: str) -> None:
        message = refusal(field, **{field: endpoint})
        assert shown in message
        assert "--default-artifact-root s3://bucket/path" in message

    @FIELDS
    @pytest.mark.parametrize("user", ["AKIA:Zx81", "AKIA", ":Zx81", ""])
    def test_with_credentials_is_refused_without_repeating_them(self, field: str, user: str) -> None:
        message = refusal(field, **{field: f"http://{user}@minio:9000"})
        assert "AWS_ACCESS_KEY_ID" in message
        assert "Zx81" not in message
        assert "AKIA" not in message

    @FIELDS
    @pytest.mark.parametrize(
        "host",
        [
            *("bucket.s3.example.org", "bucket.s3.eu-central-1.amazonaws.com"),
            *("bucket.s3-accelerate.amazonaws.com", "bucket.s3express-euw1-az1.eu-west-1.amazonaws.com"),
        ],
    )
    def test_that_has_the_bucket_in_its_host_is_refused(self, field: str, host: str) -> None:
        message = refusal(field, **{field: f"https://{host}"})
        assert "'bucket'" in message
        assert "leave it out" in message

    @FIELDS
    @pytest.mark.parametrize(
        "host", ["bucket-store.example.org", "bucket.internal", "bucket.s3store.local:9000"]
    )
    def test_that_only_resembles_the_bucket_is_none_of_that(self, field: str, host: str) -> None:
        inside = {"s3_endpoint_url": "http://127.0.0.1:9000"}
        opened(**inside | {field: f"http://{host}"}).close()

    @pytest.mark.parametrize(
        "endpoint", ["http://127.0.0.1:9000", "https://s3.example.org/", "HTTP://[::1]:9000"]
    )
    def test_that_is_a_server_is_taken_and_needs_no_region(self, endpoint: str) -> None:
        with closing(opened(s3_endpoint_url=endpoint)) as storage:
            assert storage._bucket.client.meta.endpoint_url == endpoint
            assert storage._bucket.client.meta.region_name == "us-east-1"

    def test_for_clients_is_the_one_in_presigned_urls(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        inside, outside = "http://127.0.0.1:9000", "https://s3.example.org"
        for public in ("", outside):
            with closing(opened(s3_endpoint_url=inside, s3_public_endpoint_url=public)) as storage:
                assert storage.direct is not None
                url = storage.direct.download(Entry(path("k"), size=1), "attachment")
                assert url.startswith(f"{public or inside}/bucket/path/k?")
                assert storage._bucket.client.meta.endpoint_url == inside


ENDPOINT = "https://s3.example.org"


@pytest.mark.usefixtures("aws_config_file")
class TestTls:
    def test_is_not_both_ignored_and_checked(self, tmp_path: Path) -> None:
        bundle = tmp_path / "ca.pem"
        bundle.write_bytes(b"")
        message = refusal(
            "s3_ignore_tls", s3_ignore_tls=True, s3_ca_bundle=str(bundle), s3_endpoint_url=ENDPOINT
        )
        assert "AWS_CA_BUNDLE" in message

    def test_is_not_checked_against_a_file_that_is_missing(self, tmp_path: Path) -> None:
        message = refusal("s3_ca_bundle", s3_ca_bundle=str(tmp_path / "none.pem"), s3_endpoint_url=ENDPOINT)
        assert "no such file" in message
        assert "PEM" in message

    def test_that_is_ignored_is_worth_a_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        with closing(opened(s3_ignore_tls=True, s3_endpoint_url=ENDPOINT)):
            assert "certificate is not checked" in caplog.text


@pytest.mark.usefixtures("aws_config_file")
class TestUploadArguments:
    @pytest.mark.parametrize(
        "name", ["SSECustomKey", "serversideencryption", "Bucket", "Key", "Body", "", "ContentMD5"]
    )
    def test_with_a_wrong_name_bring_the_right_ones_and_no_value(self, name: str) -> None:
        message = refusal("s3_upload_extra_args", s3_upload_extra_args=json.dumps({name: "Zx81"}))
        assert repr(name) in message
        for allowed in ("ServerSideEncryption", "SSEKMSKeyId", "StorageClass", "Metadata", "ACL", "Tagging"):
            assert allowed in message
        assert "Zx81" not in message

    @pytest.mark.parametrize("name", ["ExpectedBucketOwner", "IfMatch", "IfNoneMatch"])
    def test_cannot_be_what_the_server_decides_itself(self, name: str) -> None:
        message = refusal("s3_upload_extra_args", s3_upload_extra_args=json.dumps({name: "x"}))
        assert name not in message.partition("allowed are:")[2]

    @pytest.mark.parametrize("value", [["Zx81"], {"a": "Zx81"}, 81, None, True], ids=str)
    @pytest.mark.parametrize("name", ["SSECustomerKey", "StorageClass"])
    def test_are_texts(self, name: str, value: object) -> None:
        message = refusal("s3_upload_extra_args", s3_upload_extra_args=json.dumps({name: value}))
        assert repr(name) in message
        assert "81" not in message

    @pytest.mark.parametrize("metadata", ["Zx81", ["Zx81"], {"a": 81}, {"a": None}, {"a": {"b": "c"}}, None])
    def test_have_texts_as_metadata(self, metadata: object) -> None:
        message = refusal("s3_upload_extra_args", s3_upload_extra_args=json.dumps({"Metadata": metadata}))
        assert "'Metadata'" in message
        assert "81" not in message

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("ACL=Zx81", "it is no JSON"),
            ("{'ACL': 'Zx81'}", "it is no JSON"),
            ('["ACL"]', "it is JSON, but no object"),
            ('"Zx81"', "it is JSON, but no object"),
            ("null", "it is JSON, but no object"),
        ],
    )
    def test_are_a_json_object(self, text: str, reason: str) -> None:
        with pytest.raises(ValidationError) as caught:
            S3Settings.model_validate({"s3_upload_extra_args": text})
        [error] = caught.value.errors()
        assert error["loc"] == ("s3_upload_extra_args",)
        assert reason in error["msg"]
        assert "Zx81" not in error["msg"]

    @pytest.mark.parametrize("text", ["", "{}", '{"StorageClass": "STANDARD_IA", "Metadata": {"team": "a"}}'])
    def test_that_are_allowed_are_taken(self, text: str) -> None:
        opened(s3_upload_extra_args=text, s3_endpoint_url="http://127.0.0.1:9000").close()


class TestValues:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("s3_timeout", 0),
            ("s3_timeout", -2),
            *(("s3_expected_bucket_owner", owner) for owner in ("1", "1" * 11, "1" * 13, "a" * 12, "me")),
            ("s3_expected_bucket_owner", "012345678901\n"),
            ("s3_expected_bucket_owner", "١٢٣٤٥٦٧٨٩٠١٢"),
            ("s3_addressing_style", "host"),
            ("s3_signature_version", "v4"),
            ("s3_part_size", 5 * MIB - 1),
            ("s3_part_size", 5 * GIB + 1),
            ("s3_upload_memory", 0),
        ],
    )
    def test_that_s3_cannot_have_are_refused(self, field: str, value: object) -> None:
        with pytest.raises(ValidationError) as caught:
            S3Settings.model_validate({field: value})
        assert [error["loc"] for error in caught.value.errors()] == [(field,)]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            *(("s3_timeout", -1), ("s3_timeout", 1), ("s3_expected_bucket_owner", "012345678901")),
            *(("s3_part_size", 5 * MIB), ("s3_part_size", 5 * GIB)),
        ],
    )
    def test_at_the_edge_are_taken(self, field: str, value: object) -> None:
        assert getattr(S3Settings.model_validate({field: value}), field) == value

    @pytest.mark.parametrize(
        ("field", "value", "read"),
        [
            *(("s3_signature_version", text, "unsigned") for text in ("UNSIGNED", "Unsigned", "unsigned")),
            *(("s3_signature_version", "S3V4", "s3v4"), ("s3_signature_version", "S3", "s3")),
            *(("s3_addressing_style", "PATH", "path"), ("s3_addressing_style", "Virtual", "virtual")),
        ],
    )
    def test_that_are_words_are_read_in_any_case(self, field: str, value: str, read: str) -> None:
        assert getattr(S3Settings.model_validate({field: value}), field) == read

    def test_of_memory_are_enough_for_a_part(self, aws_config_file: Path) -> None:
        small: dict[str, Any] = {"s3_upload_memory": 8 * MIB - 1, "s3_endpoint_url": ENDPOINT}
        assert str(8 * MIB) in refusal("s3_upload_memory", **small)
        assert str(9 * MIB) in refusal("s3_upload_memory", **small | {"s3_part_size": 9 * MIB})
        opened(**small | {"s3_upload_memory": 8 * MIB}).close()


class TestRegion:
    """AWS needs one; it may be told in many ways, all of which its users know."""

    @staticmethod
    def found(**flags: Any) -> tuple[str, str]:
        """The region and the endpoint of the client that the settings bring about."""
        loaded = config.load({"default_artifact_root": "s3://bucket/path"} | flags, None)
        with closing(main.open_storage(loaded.settings, prepare=True)) as storage:
            assert isinstance(storage, S3Storage)
            meta = storage._bucket.client.meta
            return meta.region_name, meta.endpoint_url

    def test_that_is_missing_is_asked_for(self, aws_config_file: Path) -> None:
        message = refusal("s3_region")
        assert "AWS_DEFAULT_REGION" in message
        assert "MLFLOW_S3_ENDPOINT_URL" in message

    @pytest.mark.parametrize("variable", ["ARTIFACT_PROXY_S3_REGION", "AWS_DEFAULT_REGION", "AWS_REGION"])
    def test_is_found_in_a_variable(
        self, aws_config_file: Path, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        monkeypatch.setenv(variable, "eu-central-1")
        region, endpoint = self.found()
        assert region == "eu-central-1"
        assert endpoint == "https://s3.eu-central-1.amazonaws.com"

    @pytest.mark.parametrize("profile", ["default", "work"])
    def test_is_found_in_a_profile(
        self, aws_config_file: Path, monkeypatch: pytest.MonkeyPatch, profile: str
    ) -> None:
        section = "default" if profile == "default" else f"profile {profile}"
        aws_config_file.write_text(f"[{section}]\nregion = eu-west-3\n")
        if profile != "default":
            monkeypatch.setenv("AWS_PROFILE", profile)
        assert self.found()[0] == "eu-west-3"

    def test_of_a_flag_is_better_than_that_of_a_profile(self, aws_config_file: Path) -> None:
        aws_config_file.write_text("[default]\nregion = eu-west-3\n")
        assert self.found(s3_region="eu-west-1")[0] == "eu-west-1"

    def test_may_be_missing_where_a_profile_has_an_endpoint(self, aws_config_file: Path) -> None:
        aws_config_file.write_text("[default]\nendpoint_url = http://127.0.0.1:9000\n")
        assert self.found() == ("us-east-1", "http://127.0.0.1:9000")

    def test_of_a_profile_that_does_not_exist_is_not_guessed(
        self, aws_config_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_PROFILE", "nowhere")
