"""How a root in S3 is named."""

from __future__ import annotations

import pytest

from app.storage.s3.root import S3Root


class TestUrl:
    @pytest.mark.parametrize(
        ("url", "bucket", "prefix"),
        [
            ("s3://bucket", "bucket", ""),
            ("s3://bucket/", "bucket", ""),
            ("s3://bucket/a", "bucket", "a/"),
            ("s3://bucket/a/", "bucket", "a/"),
            ("s3://bucket/a/b c/é", "bucket", "a/b c/é/"),
            ("S3://bucket/Upper", "bucket", "Upper/"),
            ("s3://bucket/a%20b", "bucket", "a%20b/"),
            ("s3://bucket/bucket", "bucket", "bucket/"),
            ("s3://bucket/a=b,c:d", "bucket", "a=b,c:d/"),
            ("s3://my.bucket-1/a", "my.bucket-1", "a/"),
            ("s3://123/a", "123", "a/"),
            (f"s3://{'b' * 63}/a", "b" * 63, "a/"),
        ],
    )
    def test_it_is_taken_as_it_stands(self, url: str, bucket: str, prefix: str) -> None:
        root = S3Root.parse(url)
        assert (root.bucket, root.prefix) == (bucket, prefix)

    @pytest.mark.parametrize("url", ["s3://bucket", "S3://bucket/", "s3://bucket/a", "s3://bucket/a/%20é/"])
    def test_it_can_be_given_to_another_process(self, url: str) -> None:
        root = S3Root.parse(url)
        assert root.url.startswith("s3://bucket")
        assert not root.url.endswith("/")
        assert S3Root.parse(root.url) == root

    @pytest.mark.parametrize(
        "bucket",
        [
            *("", "ab", "b" * 64, "Bucket", "my_bucket", "-bucket", "bucket-", ".bucket", "bucket."),
            *("my..bucket", "bücket", "a b", "bucket\n", " bucket", "bucket%2f", "*", "buc\\ket"),
        ],
    )
    def test_a_bucket_has_a_name_that_s3_allows(self, bucket: str) -> None:
        with pytest.raises(ValueError, match="is no bucket name"):
            S3Root.parse(f"s3://{bucket}/path")

    @pytest.mark.parametrize(
        "place",
        [
            *("minio:9000", "localhost:9000", "127.0.0.1", "127.0.0.1:9000", "10.0.0.1", "[::1]:9000"),
            *("user@bucket", "user@minio:9000", "@bucket", "bucket:", "arn:aws:s3:::bucket"),
            *("s3.amazonaws.com", "bucket.s3.amazonaws.com", "bucket.s3.eu-central-1.amazonaws.com"),
            *("s3.cn-north-1.amazonaws.com.cn",),
        ],
    )
    def test_an_endpoint_is_no_bucket_and_belongs_elsewhere(self, place: str) -> None:
        with pytest.raises(ValueError, match="names an endpoint or credentials") as caught:
            S3Root.parse(f"s3://{place}/bucket/path")
        assert "MLFLOW_S3_ENDPOINT_URL" in str(caught.value)
        assert "s3://bucket/path" in str(caught.value)

    @pytest.mark.parametrize(
        "url",
        ["s3://bucket/a?versionId=1", "s3://bucket?x", "s3://bucket/a#b", "s3://bucket/#", "s3://bucket/?"],
    )
    def test_it_has_no_query_and_no_fragment(self, url: str) -> None:
        with pytest.raises(ValueError, match=r"'\?' or '#'|is no bucket name"):
            S3Root.parse(url)

    @pytest.mark.parametrize(
        "below",
        [
            *("..", "a/..", "../a", "a/../b", ".", "a/./b", "%2e%2e/a", "a/..;x"),
            *("/", "/a", "//a", "a//b", "a//", "a\\\\b"),
            *("a\nb", "a\x00b", "a\x7f"),
            *(".artifact-proxy", "a/.artifact-proxy", ".artifact-proxy/uploads", ".Artifact-Proxy-x/a"),
            *("x" * 256, "d/" * 65, "/".join(["x" * 250] * 5)),
        ],
        ids=lambda text: ascii(text)[:30],
    )
    def test_its_path_is_one_that_a_directory_may_have(self, below: str) -> None:
        with pytest.raises(ValueError, match="makes no prefix of keys"):
            S3Root.parse(f"s3://bucket/{below}")

    @pytest.mark.parametrize("url", ["s3:", "s3:bucket", "s3:/bucket/a", "bucket/a", "s3:///", "http://b/a"])
    def test_what_is_no_url_of_a_bucket_brings_the_right_form(self, url: str) -> None:
        with pytest.raises(ValueError, match="write s3://bucket/path"):
            S3Root.parse(url)
