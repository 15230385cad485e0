"""P8: a server that dies in the middle of a batch leaves whole artifacts; the next one removes the rest."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.support.interposer_actions import hang, later
from tests.support.interposer_exchange import Request
from tests.support.object_store import ObjectStore
from tests.support.s3_chain import PREFIX, chained
from tests.support.server import clean_environment
from tests.support.waiting import wait_until

NAMES = [f"d/{number}" for number in range(5)]
STUCK = "d/3"
SIZE = 100_000
"""Of each: smaller ones are not in the store before they are published."""
AGE = 1000
BATCH = """
import sys
from app.paths import ArtifactPath
from app.storage.s3 import S3Settings, open_storage

root, endpoint, size, *names = sys.argv[1:]
storage = open_storage(root, S3Settings(s3_endpoint_url=endpoint), read_only=False)
with storage.batch() as batch:
    for name in names:
        with batch.create(ArtifactPath.parse(name)) as upload:
            upload.write(name.encode().ljust(int(size)))
            upload.commit()
    list(batch.publish())
"""


@pytest.mark.parametrize("operation", ["UploadPart", "CompleteMultipartUpload"])
def test_p08_a_batch_of_a_killed_server_is_removed_once_it_is_old_and_foreign_uploads_stay(
    object_store: ObjectStore, bucket: str, operation: str
) -> None:
    def is_stuck(request: Request) -> bool:
        return (request.operation, request.key) == (operation, f"{PREFIX}{STUCK}")

    def completed() -> set[str]:
        return {
            request.key.removeprefix(PREFIX)
            for request in chain.interposer.requests("CompleteMultipartUpload")
            if request.status == 200
        }

    def sent() -> int:
        return len(chain.interposer.requests("UploadPart"))

    with chained(object_store, bucket, s3_abandoned_upload_age=AGE) as chain:
        foreign = chain.direct.create_multipart_upload(Bucket=bucket, Key=f"{PREFIX}{NAMES[0]}")["UploadId"]
        chain.interposer.on(is_stuck, hang)
        root, url = f"s3://{bucket}/{PREFIX}", chain.interposer.url
        with subprocess.Popen(
            [sys.executable, "-c", BATCH, root, url, str(SIZE), *NAMES],
            env=clean_environment() | object_store.environment(url),
        ) as process:
            wait_until(lambda: any(map(is_stuck, chain.interposer.requests())), "it has come so far")
            expected = set() if operation == "UploadPart" else set(NAMES) - {STUCK}
            staged = NAMES if operation == "UploadPart" else [STUCK]
            wait_until(lambda: sent() == len(NAMES), "all parts are on their way")
            wait_until(lambda: completed() == expected, "the others are done")
            process.send_signal(signal.SIGKILL)
        assert len(chain.open_uploads()) == len(staged) + 1
        records = len(chain.own())  # perhaps also that of one which was completed the moment before
        assert records >= len(staged)
        assert chain.storage.sweep() == 0
        chain.interposer.on("ListObjectsV2", later(AGE + 60), times=None)
        assert chain.storage.sweep() == records
        assert chain.leftovers() == [foreign]
        assert chain.artifacts() == {name: name.encode().ljust(SIZE) for name in expected}
