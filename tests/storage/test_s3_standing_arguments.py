"""What the operator wants of uploads, in the requests that are no uploads of artifacts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from app.storage.base import Storage
from app.storage.entry import Precondition
from tests.support.artifacts import get, names, path, paths, put
from tests.support.interposer import Interposer
from tests.support.interposer_exchange import Exchange, Request
from tests.support.s3_requests import OPERATIONS
from tests.support.s3_variables import LARGE, configured

CREATE_ONLY = Precondition(none_match="*")
ARGUMENTS = {
    "RequestPayer": "requester",
    "ServerSideEncryption": "aws:kms",
    "SSEKMSKeyId": "arn:aws:kms:us-east-1:123456789012:key/ours",
    "StorageClass": "STANDARD_IA",
    "Tagging": "team=vision",
    "ACL": "bucket-owner-full-control",
    "ObjectLockLegalHoldStatus": "ON",
}
ENCRYPTION = {"x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id"}
OF_ARTIFACTS = {"x-amz-storage-class", "x-amz-tagging", "x-amz-acl", "x-amz-object-lock-legal-hold"}
PAYER = "x-amz-request-payer"


def forget_lock(exchange: Exchange) -> None:
    """For a store whose bucket has no locks: it would refuse the header."""
    exchange._head = re.sub(rb"(?im)^x-amz-object-lock-[^\n]*\n", b"", exchange._head)
    exchange.reply(exchange.forward())


@pytest.fixture
def used(second_variables: dict[str, str], second_wire: Interposer, second_root: str) -> Iterator[Storage]:
    second_wire.on(lambda request: True, forget_lock, times=None)
    variables = second_variables | {"MLFLOW_S3_UPLOAD_EXTRA_ARGS": json.dumps(ARGUMENTS)}
    with configured(second_root, variables) as storage:
        yield storage


def use(storage: Storage) -> None:
    put(storage, "d/small", precondition=CREATE_ONLY)
    put(storage, "d/large", LARGE)
    with storage.create(path("d/left"), size=len(LARGE)) as upload:
        upload.write(LARGE)
    assert get(storage, "d/small") == b"data"
    assert names(storage) == ["d"]
    assert paths(storage) == ["d/large", "d/small"]
    storage.sweep()
    storage.delete(path("d/small"), precondition=Precondition(match="*"))
    storage.delete(path("d"))


def test_who_pays_is_said_in_every_request(used: Storage, second_wire: Interposer) -> None:
    """A bucket whose requesters pay refuses whatever comes without it."""
    assert list(used.rehearse())
    use(used)
    assert set(second_wire.operations()) == OPERATIONS
    silent = [one.operation for one in second_wire.requests() if one.headers.get(PAYER) != "requester"]
    assert silent == []


def test_records_and_probes_are_encrypted_but_neither_archived_nor_tagged_nor_locked(
    used: Storage, second_wire: Interposer
) -> None:
    """They live for a moment: locked ones could not be removed, and archived ones cost a month."""
    use(used)
    writes = second_wire.requests("PutObject") + second_wire.requests("CreateMultipartUpload")
    kept = {one.key: one for one in writes if ".artifact-proxy/" not in one.key}
    own = [one for one in writes if ".artifact-proxy/" in one.key]
    assert {kind for kind in ("uploads/", "probe-") if any(kind in one.key for one in own)} == {
        "uploads/",
        "probe-",
    }
    for request in own:
        assert headers(request) == ENCRYPTION
    for request in kept.values():
        assert headers(request) == ENCRYPTION | OF_ARTIFACTS


def headers(request: Request) -> set[str]:
    return set(request.headers) & (ENCRYPTION | OF_ARTIFACTS)
