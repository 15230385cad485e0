"""What the operator wants of all uploads to S3, in the requests that the store gets."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from app.errors import (
    NotSupported,
)
from app.storage.base import Storage
from app.storage.entry import Precondition
from tests.support.artifacts import get, path, put
from tests.support.interposer import Interposer
from tests.support.interposer_exchange import Request
from tests.support.s3_requests import (
    artifact_requests,
    direct,
)
from tests.support.s3_variables import LARGE, configured
from tests.support.server import clean_environment
from tests.support.waiting import wait_until


class TestUploadArguments:
    ARGUMENTS: ClassVar[dict[str, Any]] = {
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": "arn:aws:kms:us-east-1:123456789012:key/ours",
        "StorageClass": "STANDARD_IA",
        "ACL": "bucket-owner-full-control",
        "Tagging": "team=vision&stage=one",
        "Metadata": {"team": "vision"},
        "CacheControl": "no-store",
    }
    HEADERS: ClassVar[dict[str, str]] = {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:us-east-1:123456789012:key/ours",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-acl": "bucket-owner-full-control",
        "x-amz-tagging": "team=vision&stage=one",
        "x-amz-meta-team": "vision",
        "cache-control": "no-store",
    }

    CUSTOMER: ClassVar[dict[str, str]] = {
        "MLFLOW_S3_UPLOAD_EXTRA_ARGS": json.dumps(
            {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
        )
    }

    @staticmethod
    def of(**arguments: object) -> dict[str, str]:
        return {"MLFLOW_S3_UPLOAD_EXTRA_ARGS": json.dumps(arguments)}

    @pytest.fixture
    def used(self, second_variables: dict[str, str], second_root: str) -> Iterator[Storage]:
        with configured(second_root, second_variables | self.of(**self.ARGUMENTS)) as storage:
            yield storage

    def test_are_in_an_upload_in_one_piece(self, used: Storage, second_wire: Interposer) -> None:
        put(used, "a")
        (request,) = artifact_requests(second_wire, "PutObject")
        self.require_headers(request)

    def test_are_in_the_beginning_of_an_upload_in_parts_alone(
        self, used: Storage, second_wire: Interposer
    ) -> None:
        put(used, "a", LARGE)
        (request,) = second_wire.requests("CreateMultipartUpload")
        self.require_headers(request)
        rest = second_wire.requests("UploadPart") + second_wire.requests("CompleteMultipartUpload")
        assert len(rest) == 3
        assert not any(name in request.headers for name in self.HEADERS for request in rest)

    def test_are_in_the_beginning_of_an_upload_past_the_server(
        self, used: Storage, second_wire: Interposer
    ) -> None:
        direct(used).begin(path("a"), 2)
        (request,) = second_wire.requests("CreateMultipartUpload")
        self.require_headers(request)

    def require_headers(self, request: Request) -> None:
        assert {name: request.headers.get(name) for name in self.HEADERS} == self.HEADERS
        assert re.fullmatch("[0-9a-f]{32}", request.headers["x-amz-meta-artifact-proxy-upload"])

    @pytest.mark.parametrize("size", [1, len(LARGE)])
    def test_can_name_another_content_type(
        self, size: int, variables: dict[str, str], wire: Interposer, shared_root: str
    ) -> None:
        with configured(shared_root, variables | self.of(ContentType="application/x-ours")) as storage:
            put(storage, "a.json", bytes(size))
        (request,) = artifact_requests(wire, "PutObject") + wire.requests("CreateMultipartUpload")
        assert request.headers["content-type"] == "application/x-ours"

    def test_with_a_key_of_the_customer_are_in_all_that_needs_it(
        self, variables: dict[str, str], wire: Interposer, shared_root: str
    ) -> None:
        with configured(shared_root, variables | self.CUSTOMER) as storage:
            put(storage, "small", b"small")
            put(storage, "large", LARGE)
            assert get(storage, "small") == b"small"
            assert get(storage, "large") == LARGE
            assert storage.stat(path("large")).size == len(LARGE)
        for operation in ("PutObject", "CreateMultipartUpload", "UploadPart", "GetObject", "HeadObject"):
            requests = artifact_requests(wire, operation)
            assert requests
            for request in requests:
                assert request.headers["x-amz-server-side-encryption-customer-algorithm"] == "AES256"
                assert "x-amz-server-side-encryption-customer-key-md5" in request.headers

    def test_are_in_all_that_is_written(self, used: Storage, second_wire: Interposer) -> None:
        """Also in what is the server's own: a bucket may refuse whatever comes without encryption."""
        assert list(used.rehearse())
        put(used, "large", LARGE)
        with suppress(NotSupported):
            put(used, "new", precondition=Precondition(none_match="*"))
        writes = second_wire.requests("PutObject") + second_wire.requests("CreateMultipartUpload")
        assert len({one.key for one in writes}) >= 4
        for name in ("x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id"):
            assert [one.target for one in writes if one.headers.get(name) != self.HEADERS[name]] == []

    def test_with_a_key_of_the_customer_what_is_read_with_it_was_written_with_it(
        self, variables: dict[str, str], wire: Interposer, shared_root: str
    ) -> None:
        """Stores refuse the key for what is not encrypted by it, although not all of them do."""
        with configured(shared_root, variables | self.CUSTOMER) as died:
            died.create(path("a"), size=len(LARGE)).write(LARGE)
            wait_until(lambda: self.is_stored(wire), "the record of an upload that nobody will complete")
        with configured(shared_root, variables | self.CUSTOMER, s3_abandoned_upload_age=1) as storage:
            wait_until(lambda: storage.sweep() == 1, "its removal, for which the record is read")
        with_key = {
            operation: {
                one.key
                for one in wire.requests(operation)
                if "x-amz-server-side-encryption-customer-key" in one.headers
            }
            for operation in ("PutObject", "GetObject")
        }
        assert wire.requests("AbortMultipartUpload")
        assert with_key["PutObject"] == with_key["GetObject"] != set()

    @staticmethod
    def is_stored(wire: Interposer) -> bool:
        return [request.status for request in wire.requests("PutObject")] == [200]

    def test_that_concern_no_secrecy_are_in_artifacts_alone(
        self, used: Storage, second_wire: Interposer
    ) -> None:
        """Records come and go: what archives, locks or tags artifacts is nothing for them."""
        put(used, "large", LARGE)
        (record,) = second_wire.requests("PutObject")
        assert ".artifact-proxy/uploads/" in record.key
        secrecy = {name for name in self.HEADERS if "encryption" in name}
        assert {name for name in self.HEADERS if name in record.headers} == secrecy

    @pytest.mark.parametrize(
        "arguments",
        [
            {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32},
            {"RequestPayer": "requester"},
            {"ChecksumAlgorithm": "SHA256"},
        ],
        ids=lambda arguments: [*arguments][-1],
    )
    def test_that_clients_would_have_to_send_leave_no_presigned_urls(
        self, arguments: dict[str, str], variables: dict[str, str], wire: Interposer, shared_root: str
    ) -> None:
        with configured(shared_root, variables | self.of(**arguments)) as storage:
            assert storage.direct is None
        environment = clean_environment() | variables | self.of(**arguments)
        started = subprocess.run(
            [sys.executable, "-m", "app", "--default-artifact-root", shared_root, "--port", "0", "--presign"],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
        )
        assert (started.returncode, started.stdout) == (2, "")
        assert started.stderr.count("\n") == 1
        assert started.stderr.startswith("artifact-proxy: --presign=True cannot be used: ")
        assert [*arguments][-1] in started.stderr
        assert "k" * 32 not in started.stderr
        assert wire.requests() == []
