"""P9: each fault of the storage is the right answer to the client, in bounded time, and tells no secrets.

The bound is the time that clients of these tests wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

import httpx
import pytest

from tests.support.access_log import complete_log
from tests.support.front_requests import REQUESTS, assert_unharmed, prepare
from tests.support.interposer_actions import Action, answer, hang, raw, refuse
from tests.support.interposer_exchange import Request
from tests.support.s3_front import Front, impatient
from tests.support.server import Server

MARKER = "text-of-the-store-that-is-nobodys-business"
LATER = "TEMPORARILY_UNAVAILABLE"
FAULTS: list[tuple[str, Action, int, str]] = [
    ("throttled", answer(503, "SlowDown", MARKER), 503, LATER),
    ("too many requests", answer(429, "TooManyRequests", MARKER), 503, LATER),
    ("no bucket", answer(404, "NoSuchBucket", MARKER), 503, LATER),
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
    ("broken", answer(500, "InternalError", MARKER), 502, LATER),
    ("reset", refuse, 502, LATER),
    ("closed", raw(b""), 502, LATER),
    ("garbage", raw(f"{MARKER}\r\n\r\n".encode()), 502, LATER),
]


@pytest.fixture(scope="module")
def hasty(shared_front: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """For a store that hangs, beside `front`."""
    with impatient(shared_front, tmp_path_factory.mktemp("hasty") / "log") as started:
        yield started


def assert_told(front: Front, told: httpx.Response, status: int, code: str, fault: str) -> None:
    assert told.status_code == status, fault
    assert "www-authenticate" not in told.headers
    assert ("retry-after" in told.headers) is (status == 503)
    if told.request.method != "HEAD":
        assert told.json()["error_code"] == code, fault
    for secret in (MARKER, front.bucket, front.store.access_key, "AWS4-HMAC", front.interposer.url):
        assert secret not in told.text
        assert secret not in str(told.headers)


def assert_discreet(front: Front, server: Server) -> None:
    log = server.log()
    for secret in (MARKER, front.store.access_key, front.store.secret_key, "AWS4-HMAC", "Signature="):
        assert secret not in log
    assert "Traceback" not in log


@pytest.mark.parametrize("what", REQUESTS)
def test_p09_each_fault_of_the_store_has_its_status_and_tells_no_secrets(
    front: Front, folder: str, what: str
) -> None:
    """The storage's own 401 and 403 are 403: they are not about the client's credentials."""
    operation, ask = REQUESTS[what]
    prepare(front.client, front.url(folder))
    for fault, action, status, code in FAULTS:
        if operation == "HeadObject" and fault in {"no bucket", "full", "parent is a file"}:
            continue  # an answer to HEAD has no body, and so no code
        rule = front.interposer.on(operation, action, times=None)
        told = ask(front.client, front.url(folder))
        assert rule.used, fault
        assert_told(front, told, status, code, fault)
        front.interposer.forget_rules()
    assert_discreet(front, front.server)
    assert_unharmed(front, folder)


def test_p09_silence_of_the_store_is_504_whatever_was_asked(front: Front, hasty: Front, folder: str) -> None:
    """All at once, since each takes as long as the server waits."""

    def asked(number: int, what: str) -> None:
        operation, ask = REQUESTS[what]
        place = f"{folder}-{number}"
        prepare(front.client, front.url(place))

        def matches(request: Request) -> bool:
            named = f"/{place}/" in unquote(request.target) or operation == "DeleteObjects"
            return request.operation == operation and named

        rule = front.interposer.on(matches, hang, times=None)
        told = ask(hasty.client, hasty.url(place))
        assert rule.used, what
        assert_told(front, told, 504, LATER, what)

    with ThreadPoolExecutor(len(REQUESTS)) as pool:
        for done in [pool.submit(asked, *each) for each in enumerate(REQUESTS)]:
            done.result()
    front.interposer.forget_rules()
    assert_discreet(front, hasty.server)
    for number in range(len(REQUESTS)):
        assert_unharmed(front, f"{folder}-{number}")


def test_p09_clients_of_mlflow_are_told_the_same(front: Front, folder: str) -> None:
    url = f"{front.server.mlflow}/artifacts/{folder}/a"
    for action, status, code in [
        (answer(503, "SlowDown", MARKER), 503, LATER),
        (answer(403, "AccessDenied", MARKER), 403, "PERMISSION_DENIED"),
        (refuse, 502, LATER),
    ]:
        front.interposer.on("GetObject", action)
        assert_told(front, front.client.get(url), status, code, code)


def test_p09_the_log_tells_the_operator_what_to_do(front: Front, folder: str) -> None:
    front.interposer.on("GetObject", answer(403, "InvalidAccessKeyId", MARKER))
    assert front.get(f"{folder}/a").status_code == 403
    log = complete_log(front.server)
    assert "GetObject was answered with 403 InvalidAccessKeyId" in log
    assert "correct AWS_ACCESS_KEY_ID" in log
