"""P13: a digest that a client sends is verified before the artifact appears."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable

import httpx
import pytest

from tests.support.interposer import interposing
from tests.support.interposer_actions import flip_request_byte
from tests.support.s3_chain import PART
from tests.support.s3_front import Front
from tests.support.s3_requests import artifact_requests
from tests.support.server import Server

SMALL = b"data"
LARGE = bytes(range(256)) * (PART // 256) + b"x"
"""Two parts."""


def digest(name: str, data: bytes) -> str:
    return b64encode(hashlib.new(name, data).digest()).decode()


FIELDS: dict[str, Callable[[bytes], str]] = {
    "Content-MD5": lambda data: digest("md5", data),
    "Content-Digest": lambda data: f"sha-256=:{digest('sha256', data)}:",
    "Repr-Digest": lambda data: f"sha-512=:{digest('sha512', data)}:",
}
fields = pytest.mark.parametrize("field", FIELDS)
small_and_large = pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])


@fields
@small_and_large
def test_p13_a_digest_of_other_bytes_is_400_and_the_old_artifact_stays_in_a_local_root(
    server: Server, client: httpx.Client, folder: str, field: str, data: bytes
) -> None:
    url = f"{server.native}/{folder}"
    client.put(f"{url}/a", content=b"old")
    for name in ("a", "new/b"):
        told = client.put(f"{url}/{name}", content=data, headers={field: FIELDS[field](b"other")})
        assert (told.status_code, told.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert client.get(f"{url}/a").content == b"old"
    assert not (server.root / folder / "new").exists()
    assert server.staged() == []
    stored = client.put(f"{url}/a", content=data, headers={field: FIELDS[field](data)})
    assert (stored.status_code, client.get(f"{url}/a").content) == (200, data)


@fields
@small_and_large
def test_p13_a_digest_of_other_bytes_is_400_and_never_becomes_an_object_in_s3(
    front: Front, folder: str, field: str, data: bytes
) -> None:
    front.put(f"{folder}/a", b"old")
    front.interposer.clear()
    for name in ("a", "new/b"):
        told = front.put(f"{folder}/{name}", data, **{field: FIELDS[field](b"other")})
        assert (told.status_code, told.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert artifact_requests(front.interposer, "PutObject") == []
    assert artifact_requests(front.interposer, "CompleteMultipartUpload") == []
    assert front.get(f"{folder}/a").content == b"old"
    assert front.get(f"{folder}/new/b").status_code == 404
    assert front.leftovers() == []
    stored = front.put(f"{folder}/a", data, **{field: FIELDS[field](data)})
    assert (stored.status_code, front.get(f"{folder}/a").content) == (200, data)


@fields
def test_p13_one_byte_flipped_between_client_and_server_is_noticed_by_its_digest(
    server: Server, client: httpx.Client, folder: str, field: str
) -> None:
    target = f"v1/artifacts/{folder}/a"
    client.put(f"{server.url}/{target}", content=b"old")
    with interposing(server.url) as network:
        headers = {field: FIELDS[field](LARGE), "Connection": "close"}
        for offset in (0, len(LARGE) - 1):
            network.on(lambda request: request.method == "PUT", flip_request_byte(offset))
            told = client.put(f"{network.url}/{target}", content=LARGE, headers=headers)
            assert told.status_code == 400
        assert client.get(f"{server.url}/{target}").content == b"old"
        stored = client.put(f"{network.url}/{target}", content=LARGE, headers=headers)
    assert (stored.status_code, client.get(f"{server.url}/{target}").content) == (200, LARGE)
