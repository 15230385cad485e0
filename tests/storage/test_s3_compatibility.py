"""What requests to S3 carry by default, so that stores understand them that are not AWS."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.artifacts import get, names, path, put
from tests.support.interposer import Interposer
from tests.support.interposer_exchange import Request
from tests.support.s3_requests import (
    OPERATIONS,
    artifact_requests,
    direct,
    do_everything,
    md5_header,
)
from tests.support.s3_variables import LARGE, configured, profile

OCTETS = "application/octet-stream"


class TestDefaultsForCompatibleStores:
    CALCULATE = "request_checksum_calculation"
    VALIDATE = "response_checksum_validation"

    @staticmethod
    def checksums(requests: Sequence[Request]) -> set[str]:
        """What of the new checksums of S3 is in the requests."""
        return {
            name
            for request in requests
            for name, value in request.headers.items()
            if re.match("x-amz-(checksum|sdk-checksum|trailer)", name)
            or "aws-chunked" in value
            or "TRAILER" in value
        }

    def test_no_request_has_checksums_that_not_every_store_knows(
        self, variables: dict[str, str], wire: Interposer, shared_root: str
    ) -> None:
        with configured(shared_root, variables) as storage:
            do_everything(storage)
        assert {request.operation for request in wire.requests()} == OPERATIONS
        assert not self.checksums([one for one in wire.requests() if one.operation != "DeleteObjects"])

    @pytest.mark.parametrize("source", ["variable", "profile"])
    def test_they_are_there_where_the_user_wants_them(
        self, source: str, variables: dict[str, str], wire: Interposer, shared_root: str, tmp_path: Path
    ) -> None:
        if source == "variable":
            wanted = {f"AWS_{name.upper()}": "when_supported" for name in (self.CALCULATE, self.VALIDATE)}
        else:
            wanted = profile(tmp_path, f"{self.CALCULATE} = when_supported\n{self.VALIDATE} = when_supported")
        with configured(shared_root, variables | wanted) as storage:
            put(storage, "a")
            put(storage, "b", LARGE)
            assert get(storage, "a") == b"data"
            assert get(storage, "b") == LARGE
        for operation in ("PutObject", "UploadPart"):
            assert "x-amz-checksum-crc32" in self.checksums(artifact_requests(wire, operation))
        assert {one.headers.get("x-amz-checksum-mode") for one in wire.requests("GetObject")} == {"ENABLED"}

    def test_the_deletion_of_many_has_an_md5(
        self, variables: dict[str, str], wire: Interposer, shared_root: str
    ) -> None:
        with configured(shared_root, variables) as storage:
            put(storage, "d/a")
            put(storage, "d/b")
            storage.delete(path("d"))
            assert names(storage) == []
        (request,) = wire.requests("DeleteObjects")
        assert request.body
        assert request.headers["content-md5"] == md5_header(request.body)

    @pytest.mark.parametrize(
        ("name", "media_type"),
        [("MLmodel", "text/plain"), ("a.json", "text/plain"), ("a.png", "image/png"), ("a.unknown", OCTETS)],
    )
    def test_the_type_of_an_artifact_is_stored_as_guessed(
        self, name: str, media_type: str, variables: dict[str, str], wire: Interposer, shared_root: str
    ) -> None:
        with configured(shared_root, variables) as storage:
            put(storage, f"small/{name}")
            direct(storage).abort(path(name), direct(storage).begin(path(name), 1).upload_id)
        (put_request,) = artifact_requests(wire, "PutObject")
        (create_request,) = wire.requests("CreateMultipartUpload")
        assert put_request.headers["content-type"] == create_request.headers["content-type"] == media_type
