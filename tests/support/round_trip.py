"""One artifact from its upload to its deletion, by any server before any store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx


@contextmanager
def kept_and_deleted(client: httpx.Client, native: str, folder: str, data: bytes) -> Iterator[bytes]:
    """Stores `data` as `a` in `folder`, which nobody else uses; reads and lists it; at the end deletes it."""
    url = f"{native}/{folder}/a"
    assert client.put(url, content=data).status_code == 201
    assert client.get(url).content == data
    assert client.get(url, headers={"Range": "bytes=1-5"}).content == data[1:6]
    listed = client.get(f"{native}/{folder}/").json()["entries"]
    assert [(entry["path"], entry["size"]) for entry in listed] == [(f"{folder}/a", len(data))]
    yield data
    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == 404
