"""What clients ask of a server over S3, each with the request to the store that it cannot do without."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import httpx

from tests.support.s3_chain import PART
from tests.support.s3_front import Front

LARGE = bytes(PART + 1)
"""Two parts."""


class Asked(NamedTuple):
    operation: str
    """Of the store."""
    ask: Callable[[httpx.Client, str], httpx.Response]
    """With the URL of a directory that has been prepared."""


def _in_parts(client: httpx.Client, directory: str) -> httpx.Response:
    return client.put(f"{directory}/b", content=LARGE)


REQUESTS = {
    "download": Asked("GetObject", lambda client, directory: client.get(f"{directory}/a")),
    "examine": Asked("HeadObject", lambda client, directory: client.head(f"{directory}/a")),
    "list": Asked("ListObjectsV2", lambda client, directory: client.get(f"{directory}/")),
    "upload": Asked("PutObject", lambda client, directory: client.put(f"{directory}/b", content=b"data")),
    "begin an upload in parts": Asked("CreateMultipartUpload", _in_parts),
    "upload a part": Asked("UploadPart", _in_parts),
    "complete an upload in parts": Asked("CompleteMultipartUpload", _in_parts),
    "delete": Asked("DeleteObject", lambda client, directory: client.delete(f"{directory}/a")),
    "delete a directory": Asked("DeleteObjects", lambda client, directory: client.delete(f"{directory}/d")),
}


def prepare(client: httpx.Client, directory: str) -> None:
    """Puts there what the requests are about."""
    for name in ("a", "d/x"):
        client.put(f"{directory}/{name}", content=b"data").raise_for_status()


def assert_unharmed(front: Front, folder: str) -> None:
    """All is as it was before the requests, none of which has succeeded."""
    listed = front.client.get(f"{front.url(folder)}/", params={"recursive": "true"}).json()["entries"]
    assert [entry["path"] for entry in listed] == [f"{folder}/a", f"{folder}/d/x"]
    assert front.get(f"{folder}/a").content == front.get(f"{folder}/d/x").content == b"data"
    assert front.leftovers() == []
