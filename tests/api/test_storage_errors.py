"""What clients are told when the store behind the server fails, and what they are never told."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

import httpx
import pytest

from tests.support.interposer_actions import (
    Action,
    answer,
    cut_after_forwarding,
    cut_body,
    hang,
    raw,
    refuse,
    stall_body,
)
from tests.support.interposer_exchange import Request
from tests.support.s3_chain import MIB, PART, PREFIX
from tests.support.s3_front import Front, impatient
from tests.support.server import Server

MARKER = "text-of-the-store-that-is-nobodys-business"
LARGE = b"x" * (2 * PART + 1)


@pytest.fixture(scope="module")
def hasty_front(shared_front: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """For a store that hangs, beside `front`."""
    with impatient(shared_front, tmp_path_factory.mktemp("hasty-front") / "log") as started:
        yield started


@pytest.fixture
def front(shared_front: Front, folder: str) -> Iterator[Front]:
    shared_front.interposer.forget_rules()
    shared_front.interposer.clear()
    yield shared_front
    shared_front.interposer.forget_rules()


def read(pieces: Iterator[bytes]) -> tuple[bytes, bool]:
    """What comes, and whether that is all of it."""
    received = b""
    try:
        for piece in pieces:
            received += piece
    except httpx.RemoteProtocolError:
        return received, False
    return received, True


Ask = Callable[[Front, str], httpx.Response]
REQUESTS: dict[str, tuple[str, Ask]] = {
    "download": ("GetObject", lambda front, folder: front.get(f"{folder}/a")),
    "examine": ("HeadObject", lambda front, folder: front.client.head(front.url(f"{folder}/a"))),
    "list": (
        "ListObjectsV2",
        lambda front, folder: front.get(f"{folder}/"),
    ),
    "upload": ("PutObject", lambda front, folder: front.put(f"{folder}/b", b"data")),
    "upload in parts": ("UploadPart", lambda front, folder: front.put(f"{folder}/b", LARGE)),
    "delete": ("DeleteObject", lambda front, folder: front.client.delete(front.url(f"{folder}/a"))),
}
FAULTS: list[tuple[str, Action, int, str]] = [
    ("throttled", answer(503, "SlowDown", MARKER), 503, "TEMPORARILY_UNAVAILABLE"),
    ("no bucket", answer(404, "NoSuchBucket", MARKER), 503, "TEMPORARILY_UNAVAILABLE"),
    ("denied", answer(403, "AccessDenied", MARKER), 403, "PERMISSION_DENIED"),
    ("wrong key", answer(403, "SignatureDoesNotMatch", MARKER), 403, "PERMISSION_DENIED"),
    (
        "who are you",
        answer(401, "Unauthorized", MARKER, {"WWW-Authenticate": f'Basic realm="{MARKER}"'}),
        403,
        "PERMISSION_DENIED",
    ),
    ("full", answer(507, "XMinioStorageFull", MARKER), 507, "QUOTA_EXCEEDED"),
    ("parent is a file", answer(400, "XMinioParentIsObject", MARKER), 409, "RESOURCE_ALREADY_EXISTS"),
    ("broken", answer(500, "InternalError", MARKER), 502, "TEMPORARILY_UNAVAILABLE"),
    ("reset", refuse, 502, "TEMPORARILY_UNAVAILABLE"),
    ("garbage", raw(f"{MARKER}\r\n\r\n".encode()), 502, "TEMPORARILY_UNAVAILABLE"),
]


def assert_told(front: Front, what: str, told: httpx.Response, status: int, code: str, fault: str) -> None:
    assert told.status_code == status, fault
    assert "www-authenticate" not in told.headers
    assert ("retry-after" in told.headers) is (status == 503)
    if what != "examine":
        assert told.json()["error_code"] == code, fault
    for secret in (MARKER, front.bucket, front.store.access_key, "AWS4-HMAC", front.interposer.url):
        assert secret not in told.text
        assert secret not in str(told.headers)


def assert_unharmed(front: Front, server: Server, folder: str) -> None:
    """The `server` that met the faults has told no secrets to its log, and all is as it was before."""
    log = server.log()
    for secret in (
        MARKER,
        front.store.access_key,
        front.store.secret_key,
        "AWS4-HMAC",
        "Signature=",
        "Traceback",
    ):
        assert secret not in log
    assert front.get(f"{folder}/a").content == b"data"
    assert front.get(f"{folder}/b").status_code == 404
    assert front.leftovers() == []


@pytest.mark.parametrize("what", REQUESTS)
def test_each_fault_of_the_store_has_its_status_and_tells_no_secrets(
    front: Front, folder: str, what: str
) -> None:
    operation, ask = REQUESTS[what]
    assert front.put(f"{folder}/a", b"data").status_code == 201
    for name, action, status, code in FAULTS:
        if operation == "HeadObject" and name in {"no bucket", "full", "parent is a file"}:
            continue  # an answer to HEAD has no body, and so no code
        rule = front.interposer.on(operation, action, times=None)
        told = ask(front, folder)
        assert rule.used, name
        assert_told(front, what, told, status, code, name)
        front.interposer.forget_rules()
    assert_unharmed(front, front.server, folder)


def test_silence_of_the_store_is_504_whatever_was_asked(
    front: Front, hasty_front: Front, folder: str
) -> None:
    """All at once, since each takes as long as the server waits."""

    def asked(number: int, what: str) -> None:
        operation, ask = REQUESTS[what]
        place = f"{folder}-{number}"
        assert front.put(f"{place}/a", b"data").status_code == 201

        def matches(request: Request) -> bool:
            return request.operation == operation and f"/{place}/" in unquote(request.target)

        rule = front.interposer.on(matches, hang, times=None)
        told = ask(hasty_front, place)
        assert rule.used, what
        assert_told(front, what, told, 504, "TEMPORARILY_UNAVAILABLE", what)

    with ThreadPoolExecutor(len(REQUESTS)) as pool:
        for done in [pool.submit(asked, *each) for each in enumerate(REQUESTS)]:
            done.result()
    front.interposer.forget_rules()
    for number in range(len(REQUESTS)):
        assert_unharmed(front, hasty_front.server, f"{folder}-{number}")


def test_the_log_tells_the_operator_what_to_do(front: Front, folder: str) -> None:
    front.interposer.on("GetObject", answer(403, "InvalidAccessKeyId", MARKER))
    assert front.get(f"{folder}/a").status_code == 403
    assert "GetObject was answered with 403 InvalidAccessKeyId" in front.server.log()
    assert "correct AWS_ACCESS_KEY_ID" in front.server.log()


def test_mlflow_clients_are_told_the_same(front: Front, folder: str) -> None:
    front.interposer.on("GetObject", answer(503, "SlowDown", MARKER))
    told = front.client.get(f"{front.server.mlflow}/artifacts/{folder}/a")
    assert (told.status_code, told.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert int(told.headers["retry-after"]) > 0
    front.interposer.on("GetObject", answer(403, "AccessDenied", MARKER))
    told = front.client.get(f"{front.server.mlflow}/artifacts/{folder}/a")
    assert (told.status_code, told.json()["error_code"]) == (403, "PERMISSION_DENIED")


class TestDownloadsThatFailInTheMiddle:
    DATA = os.urandom(8 * MIB)

    @pytest.mark.parametrize("what", ["cut", "silent"])
    def test_are_visibly_short(self, front: Front, hasty_front: Front, folder: str, what: str) -> None:
        asked, action = (front, cut_body(2 * MIB)) if what == "cut" else (hasty_front, stall_body(2 * MIB))
        front.put(f"{folder}/a", self.DATA)
        front.interposer.on("GetObject", action)
        front.interposer.on("GetObject", refuse, times=None)
        with front.client.stream("GET", asked.url(f"{folder}/a")) as response:
            assert response.status_code == 200
            assert int(response.headers["content-length"]) == len(self.DATA)
            received, whole = read(response.iter_raw())
        assert not whole
        assert self.DATA.startswith(received)
        assert len(received) < len(self.DATA)
        assert "Cut the download of" in asked.server.log()

    def test_and_go_on_are_whole(self, front: Front, folder: str) -> None:
        front.put(f"{folder}/a", self.DATA)
        for after in (0, MIB, 2 * MIB + 1):
            front.interposer.on("GetObject", cut_body(after))
        assert front.get(f"{folder}/a").content == self.DATA
        assert not front.interposer.unused()

    def test_because_it_was_replaced_never_mix_versions(
        self, front: Front, hasty_front: Front, folder: str
    ) -> None:
        front.put(f"{folder}/a", self.DATA)
        front.interposer.on("GetObject", stall_body(6 * MIB))
        with front.client.stream("GET", hasty_front.url(f"{folder}/a")) as response:
            pieces = response.iter_raw()
            first = next(pieces)
            front.direct.put_object(Bucket=front.bucket, Key=f"{PREFIX}{folder}/a", Body=os.urandom(8 * MIB))
            rest, whole = read(pieces)
        assert not whole
        assert self.DATA.startswith(first + rest)


class TestUploadsWhoseAnswerIsLost:
    @pytest.mark.parametrize(
        ("data", "operation"),
        [(b"data", "PutObject"), (LARGE, "CompleteMultipartUpload")],
        ids=["small", "large"],
    )
    def test_are_a_success(self, front: Front, folder: str, data: bytes, operation: str) -> None:
        key = f"{PREFIX}{folder}/a"
        for headers, status in [({"If_None_Match": "*"}, 201), ({}, 200)]:
            rule = front.interposer.on(
                lambda request: (request.operation, request.key) == (operation, key), cut_after_forwarding
            )
            stored = front.put(f"{folder}/a", data, **headers)
            assert (rule.used, stored.status_code) == (1, status)
            assert front.get(f"{folder}/a").headers["etag"] == stored.headers["etag"]
        assert front.get(f"{folder}/a").content == data
        assert front.leftovers() == []


def test_a_wrong_digest_is_400_and_leaves_nothing(front: Front, folder: str) -> None:
    for data in (b"data", LARGE):
        answered = front.put(f"{folder}/d/a", data, Content_MD5="AAAAAAAAAAAAAAAAAAAAAA==")
        assert answered.status_code == 400
        assert front.get(f"{folder}/d/a").status_code == 404
        assert front.leftovers() == []
    assert front.interposer.requests("CompleteMultipartUpload") == []
