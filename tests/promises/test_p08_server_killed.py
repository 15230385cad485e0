"""P8: a server that dies leaves multipart uploads that the next one removes, and removes nobody else's."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import ExitStack

import httpx

from tests.support.interposer_actions import hang, hang_after_forwarding
from tests.support.interposer_exchange import Request
from tests.support.object_store import ObjectStore
from tests.support.raw import connection, head
from tests.support.s3_chain import PART, PREFIX, Chain, chained
from tests.support.server import Server
from tests.support.waiting import wait_until

LARGE = b"x" * (2 * PART + 1)
STUCK = {"d/part": "UploadPart", "d/completing": "CompleteMultipartUpload", "done": "CompleteMultipartUpload"}
"""Uploads with the request of theirs whose answer does not come; of the last one the store has done it."""


def concerns(operation: str, name: str) -> Callable[[Request], bool]:
    return lambda request: (request.operation, request.key) == (operation, f"{PREFIX}{name}")


def begin_foreign(chain: Chain, key: str) -> str:
    """Somebody else's upload, with a part."""
    upload_id = chain.direct.create_multipart_upload(Bucket=chain.bucket, Key=key)["UploadId"]
    chain.direct.upload_part(Bucket=chain.bucket, Key=key, UploadId=upload_id, PartNumber=1, Body=b"x")
    return upload_id


def test_p08_uploads_of_a_killed_server_are_removed_once_they_are_old_and_foreign_ones_stay(
    serve: Callable[..., Server], object_store: ObjectStore, bucket: str, client: httpx.Client
) -> None:
    root = f"s3://{bucket}/{PREFIX}"
    with chained(object_store, bucket) as chain, ExitStack() as stack:
        foreign = [begin_foreign(chain, key) for key in (f"{PREFIX}d/a", "another/root/x")]  # the oldest
        environment = object_store.environment(chain.interposer.url)
        server = serve("--s3-part-size", str(PART), root=root, **environment)
        client.put(f"{server.native}/d/a", content=b"old").raise_for_status()
        for name, operation in STUCK.items():
            action = hang_after_forwarding if name == "done" else hang
            chain.interposer.on(concerns(operation, name), action, times=None)

        def upload(name: str, length: int) -> None:
            connected = stack.enter_context(connection(server.url))
            connected.sendall(head("PUT", f"/v1/artifacts/{name}", f"Content-Length: {length}") + LARGE)

        upload("d/a", len(LARGE) + 1)
        for name in STUCK:
            upload(name, len(LARGE))
        for name, operation in [("d/a", "UploadPart"), *STUCK.items()]:
            wait_until(
                lambda name=name, operation=operation: any(  # type: ignore[misc]
                    map(concerns(operation, name), chain.interposer.requests())
                ),
                f"the upload of {name} has come so far",
            )
        wait_until(lambda: "done" in chain.artifacts(), "the store has done what it does not tell of")
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        assert len(chain.open_uploads()) == len(foreign) + 3
        assert len(chain.own()) == 4
        chain.interposer.forget_rules()
        successor = serve("--s3-abandoned-upload-age", "1", root=root, **environment)
        wait_until(lambda: sorted(chain.leftovers()) == sorted(foreign), "the next one sweeps")
        assert chain.artifacts() == {"d/a": b"old", "done": LARGE}
        assert client.get(f"{successor.native}/d/a").content == b"old"
        wait_until(lambda: "Removed" in successor.log(), "it says so")
