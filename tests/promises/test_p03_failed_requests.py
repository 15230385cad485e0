"""P3, for a root in S3: a request to the store that fails is an error to the client, and leaves nothing."""

from __future__ import annotations

import pytest

from tests.support.front_requests import REQUESTS, prepare
from tests.support.interposer_actions import answer, forward
from tests.support.s3_front import Front

FAILS = answer(500, "InternalError")


def held(front: Front, folder: str) -> dict[str, bytes]:
    """All artifacts there, by their paths."""
    listed = front.client.get(f"{front.url(folder)}/", params={"recursive": "true"}).json()["entries"]
    return {entry["path"]: front.get(entry["path"]).content for entry in listed}


@pytest.mark.parametrize("replaced", [False, True], ids=["new", "replaced"])
@pytest.mark.parametrize(
    ("what", "sent_before"),
    [
        ("upload", 0),
        ("begin an upload in parts", 0),
        ("upload a part", 0),
        ("upload a part", 1),
        ("complete an upload in parts", 0),
    ],
)
def test_p03_each_request_of_an_upload_that_fails_is_an_error_and_leaves_nothing(
    front: Front, folder: str, what: str, sent_before: int, replaced: bool
) -> None:
    operation, ask = REQUESTS[what]
    prepare(front.client, front.url(folder))
    if replaced:
        front.put(f"{folder}/b", b"old").raise_for_status()
    before = held(front, folder)
    for _ in range(sent_before):
        front.interposer.on(operation, forward)
    rule = front.interposer.on(operation, FAILS, times=None)
    assert ask(front.client, front.url(folder)).status_code == 502
    assert rule.used
    front.interposer.forget_rules()
    assert held(front, folder) == before
    assert front.leftovers() == []
    assert ask(front.client, front.url(folder)).status_code == (200 if replaced else 201)
