"""Where requests to S3 go: to which endpoint, in which region, with the bucket in the path or host name."""

from __future__ import annotations

import socket
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.artifacts import path, put
from tests.support.interposer import Interposer
from tests.support.interposer_actions import answer
from tests.support.s3_requests import (
    presigned,
    scope,
)
from tests.support.s3_variables import NOBODY, configured, profile, without


def by_name(url: str) -> str:
    """The URL of a server at 127.0.0.1 with a host name, as no bucket can stand before an address."""
    return url.replace("127.0.0.1", "localhost")


class TestEndpoint:
    SOURCES = ("flag", "our variable", "MLflow's", "of S3", "of all services", "profile, of S3", "profile")
    """Best first."""

    @staticmethod
    def given(source: str, url: str, directory: Path) -> tuple[dict[str, str], dict[str, str]]:
        """Variables and flags that name the endpoint."""
        names = {
            "our variable": "ARTIFACT_PROXY_S3_ENDPOINT_URL",
            "MLflow's": "MLFLOW_S3_ENDPOINT_URL",
            "of S3": "AWS_ENDPOINT_URL_S3",
            "of all services": "AWS_ENDPOINT_URL",
        }
        if source == "flag":
            return {}, {"s3_endpoint_url": url}
        if source == "profile":
            return profile(directory, f"endpoint_url = {url}"), {}
        if source == "profile, of S3":
            text = f"services = ours\nendpoint_url = {NOBODY}\n[services ours]\ns3 =\n  endpoint_url = {url}"
            return profile(directory, text), {}
        return {names[source]: url}, {}

    @pytest.mark.parametrize("source", SOURCES)
    def test_is_asked_with_the_bucket_in_the_path(
        self, source: str, variables: dict[str, str], wire: Interposer, shared_root: str, tmp_path: Path
    ) -> None:
        named, flags = self.given(source, by_name(wire.url), tmp_path)
        with configured(
            shared_root, without(variables, "MLFLOW_S3_ENDPOINT_URL") | named, **flags
        ) as storage:
            put(storage, "a")
        (stored,) = wire.requests("PutObject")
        assert stored.path == shared_root.removeprefix("s3:/") + "/a"
        assert stored.headers["host"] == urlsplit(by_name(wire.url)).netloc
        assert stored.status == 200

    @pytest.mark.parametrize(("better", "worse"), list(pairwise(SOURCES[:-1])))
    def test_the_more_special_source_wins(
        self,
        better: str,
        worse: str,
        variables: dict[str, str],
        wire: Interposer,
        shared_root: str,
        tmp_path: Path,
    ) -> None:
        ignored, flags = self.given(worse, NOBODY, tmp_path)
        used, more_flags = self.given(better, wire.url, tmp_path)
        named = without(variables, "MLFLOW_S3_ENDPOINT_URL") | ignored | used
        with configured(shared_root, named, **flags, **more_flags) as storage:
            storage.check()
        assert wire.operations() == ["ListObjectsV2"]

    def test_without_any_it_is_aws_with_the_bucket_in_the_host_name(
        self, variables: dict[str, str], wire: Interposer
    ) -> None:
        named = without(variables, "MLFLOW_S3_ENDPOINT_URL") | {"AWS_DEFAULT_REGION": "eu-central-1"}
        with configured("s3://bucket/root", named) as storage:
            host, target, _ = presigned(storage)
        assert (host, target) == ("bucket.s3.eu-central-1.amazonaws.com", "/root/a")

    @pytest.mark.parametrize("style", ["", "auto"])
    @pytest.mark.parametrize(
        "place",
        ["s3.eu-central-1.amazonaws.com", "s3.cn-north-1.amazonaws.com.cn", "s3.dualstack.eu-west-1.api.aws"],
    )
    def test_of_aws_is_asked_with_the_bucket_in_the_host_name(
        self, style: str, place: str, variables: dict[str, str]
    ) -> None:
        named = variables | {
            "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": style,
            "MLFLOW_S3_ENDPOINT_URL": f"https://{place}",
        }
        with configured("s3://bucket/root", named) as storage:
            host, target, _ = presigned(storage)
        assert (host, target) == (f"bucket.{place}", "/root/a")


class TestRegion:
    @pytest.mark.parametrize("variable", ["AWS_DEFAULT_REGION", "AWS_REGION", "ARTIFACT_PROXY_S3_REGION"])
    def test_of_a_variable_is_what_requests_are_signed_for(
        self, variable: str, variables: dict[str, str], wire: Interposer, shared_root: str
    ) -> None:
        with configured(
            shared_root, without(variables, "AWS_DEFAULT_REGION") | {variable: "eu-central-1"}
        ) as storage:
            put(storage, "a")
        assert {scope(request)[1] for request in wire.requests()} == {"eu-central-1"}
        assert {request.status for request in wire.requests("PutObject")} == {200}

    def test_of_a_profile_is_what_requests_are_signed_for(
        self, variables: dict[str, str], wire: Interposer, shared_root: str, tmp_path: Path
    ) -> None:
        named = without(variables, "AWS_DEFAULT_REGION") | profile(tmp_path, "region = eu-west-3")
        with configured(shared_root, named) as storage:
            storage.check()
        assert [scope(request)[1] for request in wire.requests()] == ["eu-west-3"]

    @pytest.mark.parametrize(
        ("better", "worse"),
        [
            ("ARTIFACT_PROXY_S3_REGION", "AWS_DEFAULT_REGION"),
            ("AWS_DEFAULT_REGION", "AWS_REGION"),
            ("AWS_REGION", "profile"),
        ],
    )
    def test_of_the_more_special_source_wins(
        self,
        better: str,
        worse: str,
        variables: dict[str, str],
        wire: Interposer,
        shared_root: str,
        tmp_path: Path,
    ) -> None:
        ignored = profile(tmp_path, "region = eu-west-3") if worse == "profile" else {worse: "eu-south-2"}
        named = without(variables, "AWS_DEFAULT_REGION") | ignored | {better: "eu-south-1"}
        with configured(shared_root, named) as storage:
            storage.check()
        assert [scope(request)[1] for request in wire.requests()] == ["eu-south-1"]

    def test_need_not_be_named_with_an_endpoint(
        self, variables: dict[str, str], wire: Interposer, shared_root: str
    ) -> None:
        with configured(shared_root, without(variables, "AWS_DEFAULT_REGION")) as storage:
            storage.check()
        assert [scope(request)[1] for request in wire.requests()] == ["us-east-1"]


FOUND = answer(200, headers={"ETag": '"0"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"})


class TestAddressingStyle:
    @pytest.mark.parametrize("style", ["", "auto", "path"])
    def test_in_the_path(self, style: str, variables: dict[str, str], wire: Interposer) -> None:
        endpoint = by_name(wire.url)
        named = variables | {
            "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": style,
            "MLFLOW_S3_ENDPOINT_URL": endpoint,
        }
        wire.on("HeadObject", FOUND)
        with configured("s3://bucket/some/root", named) as storage:
            storage.stat(path("a/b"))
            assert presigned(storage)[:2] == (urlsplit(endpoint).netloc, "/bucket/some/root/a")
        (request,) = wire.requests()
        assert request.target == "/bucket/some/root/a/b"
        assert request.headers["host"] == urlsplit(endpoint).netloc

    def test_in_the_host_name(
        self, variables: dict[str, str], wire: Interposer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Not every system knows names below localhost.
        resolve = socket.getaddrinfo

        def resolved(host: str, *arguments: Any, **options: Any) -> Any:
            return resolve("127.0.0.1" if host.endswith("localhost") else host, *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        host = f"bucket.{urlsplit(by_name(wire.url)).netloc}"
        named = variables | {
            "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "virtual",
            "MLFLOW_S3_ENDPOINT_URL": by_name(wire.url),
        }
        wire.on(lambda request: request.method == "HEAD", FOUND)
        with configured("s3://bucket/some/root", named) as storage:
            storage.stat(path("a/b"))
            assert presigned(storage)[:2] == (host, "/some/root/a")
        (request,) = wire.requests()
        assert (request.target, request.headers["host"]) == ("/some/root/a/b", host)
