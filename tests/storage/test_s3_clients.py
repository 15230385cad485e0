"""What clients send leads the server to no other store, bucket or credentials than its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.support.hostile_paths import REFUSED, SURFACES
from tests.support.interposer import Interposer, interposing
from tests.support.object_store import ObjectStore
from tests.support.raw import exchange, head
from tests.support.s3_requests import (
    is_within,
    scope,
)
from tests.support.s3_variables import NOBODY, served
from tests.support.server import Server
from tests.support.waiting import wait_until


@dataclass
class Proxied:
    server: Server
    wire: Interposer
    bucket: str
    prefix: str = "some/root/"

    def outside(self) -> list[str]:
        """The targets of requests for anything else than the server's root."""
        return [one.target for one in self.wire.requests() if not is_within(one, self.bucket, self.prefix)]


@pytest.fixture(scope="module")
def proxied(object_store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """A server over SeaweedFS that hands presigned URLs out."""
    bucket = object_store.make_bucket()
    with interposing(object_store.url) as wire:
        variables = object_store.environment(wire.url)
        directory = tmp_path_factory.mktemp("proxied")
        with served(f"s3://{bucket}/some/root", variables, directory, "--presign") as server:
            # The server looks for abandoned uploads once, beside the first requests.
            wait_until(lambda: len(wire.requests("ListObjectsV2")) == 2, "the first sweep")
            yield Proxied(server, wire, bucket)
    object_store.remove_bucket(bucket)


class TestOfClients:
    HEADERS = (
        "Authorization: AWS4-HMAC-SHA256 Credential=CLIENT/20260101/us-east-1/s3/aws4_request",
        "X-Amz-Security-Token: of-the-client",
        "X-Amz-Acl: public-read",
        "X-Amz-Copy-Source: /other/secret",
        "X-Amz-Meta-Team: of-the-client",
        "X-Amz-Server-Side-Encryption: aws:kms",
        "X-Amz-Expected-Bucket-Owner: 999999999999",
        "X-Amz-Website-Redirect-Location: http://192.0.2.1/",
        "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD",
        "Connection: close",
    )

    def test_headers_are_not_passed_on_to_the_store(self, proxied: Proxied, folder: str) -> None:
        proxied.wire.clear()
        target = f"/v1/artifacts/{folder}/a"
        put_request = head("PUT", target, *self.HEADERS, "Content-Length: 4") + b"data"
        assert exchange(proxied.server.url, put_request).status == 201
        for method, at in (("GET", target), ("HEAD", target), ("GET", f"{target}/"), ("DELETE", target)):
            assert exchange(proxied.server.url, head(method, at, *self.HEADERS)).status < 500
        seen = proxied.wire.requests()
        assert {"PutObject", "GetObject", "HeadObject", "ListObjectsV2"} <= {one.operation for one in seen}
        for request in seen:
            assert scope(request)[0] != "CLIENT"
            passed_on = {name: value for name, value in request.headers.items() if "client" in value.lower()}
            assert passed_on == {}
            assert not request.headers.keys() & {
                "x-amz-acl",
                "x-amz-copy-source",
                "x-amz-expected-bucket-owner",
                "x-amz-security-token",
                "x-amz-server-side-encryption",
                "x-amz-website-redirect-location",
            }

    def test_parameters_choose_neither_endpoint_nor_bucket(self, proxied: Proxied, folder: str) -> None:
        with interposing(NOBODY) as elsewhere:
            chosen = {
                name: value
                for value, names in {
                    elsewhere.url: ("endpoint", "endpoint_url", "s3_endpoint_url", "url", "host"),
                    "s3://other/x": ("root", "default_artifact_root", "artifact_uri"),
                    "other": ("bucket", "Bucket", "prefix"),
                }.items()
                for name in names
            }
            proxied.wire.clear()
            with httpx.Client(params=chosen, headers={"X-Forwarded-Host": "other"}) as client:
                native, mlflow = f"{proxied.server.native}/{folder}", proxied.server.mlflow
                answers = [
                    client.put(f"{native}/a", content=b"data"),
                    client.get(f"{native}/a"),
                    client.head(f"{native}/a"),
                    client.get(proxied.server.native),
                    client.get(f"{mlflow}/artifacts"),
                    client.put(f"{mlflow}/artifacts/{folder}/b", content=b"data"),
                    client.get(f"{mlflow}/presigned/{folder}/b"),
                    client.post(
                        f"{mlflow}/mpu/create/{folder}", json=chosen | {"path": f"{folder}/c", "num_parts": 1}
                    ),
                    client.post(
                        f"{mlflow}/mpu/create/{folder}",
                        json={"path": f"{elsewhere.url}/other/d", "num_parts": 1},
                    ),
                    client.delete(f"{native}/a"),
                ]
            assert [one.status_code for one in answers if one.status_code >= 500] == []
            assert elsewhere.connections == 0
            assert not any(elsewhere.url in one.text for one in answers)
        assert {"PutObject", "CreateMultipartUpload"} <= set(proxied.wire.operations())
        assert proxied.outside() == []
        for handed_out in answers[6:8]:
            assert f"{proxied.wire.url}/{proxied.bucket}/some/root/{folder}/" in handed_out.text

    def test_hostile_paths_lead_nowhere_outside_the_root(self, proxied: Proxied) -> None:
        proxied.wire.clear()
        bodies = {
            "create": {"path": "x", "num_parts": 1},
            "complete": {"path": "x", "upload_id": "x", "parts": []},
            "abort": {"path": "x", "upload_id": "x"},
        }
        surfaces = [(method, at, b"evil") for method in ("PUT", "GET", "DELETE") for at in SURFACES]
        surfaces += [
            ("POST", f"/api/2.0/mlflow-artifacts/mpu/{step}/", json.dumps(body).encode())
            for step, body in bodies.items()
        ]
        surfaces.append(("GET", "/api/2.0/mlflow-artifacts/presigned/", b""))
        for path in REFUSED:
            for method, surface, body in surfaces:
                sent = body if method in {"PUT", "POST"} else b""
                lines = [
                    "Content-Type: application/json",
                    f"Content-Length: {len(sent)}",
                    "Connection: close",
                ]
                answered = exchange(proxied.server.url, head(method, surface + path, *lines) + sent)
                assert answered.status == 400, (method, surface, path)
        assert proxied.wire.requests() == []
