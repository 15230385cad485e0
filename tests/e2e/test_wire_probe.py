"""Our answers, byte for byte, are those that are recorded, and differ from MLflow's only on purpose."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.e2e.conftest import Proxy
from tests.e2e.wire_probe import REQUESTS, Answer, probe

RECORDED = Path(__file__).with_name("recorded")
RELIED_ON = ("content-type", "content-disposition", "content-range", "accept-ranges", "allow")
"""Headers that clients read, compared wherever one of the two servers sends them."""

JSON_ERROR = "every error is JSON in MLflow's form, where MLflow answers HTML, text or another form"
UPLOADED = "every answer of the API has a JSON body, so that of an upload is {}"
LISTED = "names are decoded once, '#' is legal, and the size of an empty file is told like any other"
NO_TRACKING = "it is not here and will not be; a 503 would be repeated for four minutes"
CAPABILITIES = "only what a client must know to transfer artifacts, and no tracking store behind it"

ERROR = {"content-type": JSON_ERROR, "body": JSON_ERROR}
LOCAL: dict[str, dict[str, str]] = {
    "version": {"content-type": "it is plain text, not HTML"},
    "server info": {"body": CAPABILITIES},
    "server info, ajax": {"body": CAPABILITIES},
    "upload": {"content-type": UPLOADED, "body": UPLOADED},
    "upload of nothing": {"content-type": UPLOADED, "body": UPLOADED},
    "upload, unicode name": {"content-type": UPLOADED, "body": UPLOADED},
    "upload, double-encoded name": {"content-type": UPLOADED, "body": UPLOADED},
    "upload, # in the name": {"status": "'#' is a legal character", "body": UPLOADED},
    "upload, trailing slash": {"body": JSON_ERROR},
    "upload, no path": ERROR,
    "upload onto a directory": ERROR | {"status": "a conflict stays; a 500 would be repeated for minutes"},
    "upload, newline in the name": {"status": "the name is invalid, the route is there", "body": JSON_ERROR},
    "post to an artifact": ERROR,
    "upload, foreign origin": ERROR,
    "list, foreign host": ERROR | {"status": "421 says that another host was meant"},
    "list, workspace": {"status": "the refusal stays; a 500 would be repeated for minutes"},
    "list": {"body": LISTED},
    "list, trailing slash": {"body": LISTED},
    "range past the end": ERROR,
    "download, unicode name": {"content-disposition": "clients that read only the plain name get one, too"},
    "download, double-encoded name": {
        "content-disposition": "names are decoded once, so that different names are different artifacts"
    },
    "download a directory": {"body": JSON_ERROR},
    "multipart create, no content type": {"status": "415 is the status for a media type that is not taken"},
    "delete the root": ERROR,
    "tracking route": ERROR | {"status": NO_TRACKING},
    "tracking page": ERROR | {"status": NO_TRACKING},
    "no such route": ERROR,
}

LENGTH = "the length is told before the first byte, where MLflow sends chunks of what it has fetched whole"
RANGES = "ranges are served, where MLflow sends the whole artifact whatever part was asked for"
STREAMED = {"accept-ranges": RANGES, "content-length": LENGTH}
NO_TWINS = "a directory is not hidden by an artifact of its name, so none can be stored there"
UNREAD = "what is a directory cannot be read; MLflow fetches the whole tree and sends an empty file"
GONE = "what is not there stays so; a 500 would be repeated for minutes"
NO_UPLOAD = dict.fromkeys(("status", "content-type", "body"), GONE)

S3: dict[str, dict[str, str]] = LOCAL | {
    "upload onto a directory": dict.fromkeys(("status", "content-type", "body"), NO_TWINS),
    "list": {"body": f"{LISTED}; {NO_TWINS}"},
    "list, trailing slash": {"body": f"{LISTED}; {NO_TWINS}"},
    "download, ajax": STREAMED,
    "download": STREAMED,
    "download of nothing": STREAMED,
    "range": STREAMED | dict.fromkeys(("status", "content-range", "body"), RANGES),
    "range past the end": dict.fromkeys(
        ("status", "content-type", "content-disposition", "content-range", "content-length", "body"), RANGES
    ),
    "download, unicode name": LOCAL["download, unicode name"] | STREAMED,
    "download, double-encoded name": LOCAL["download, double-encoded name"] | STREAMED,
    "download a directory": dict.fromkeys(
        ("status", "content-type", "content-disposition", "content-length", "body"), UNREAD
    ),
    "download, missing": dict.fromkeys(("status", "body"), GONE),
    "presigned": {"body": "the store is also told the media type, and the name as all other routes spell it"},
    "multipart create": {
        "body": "credentials always have headers, as clients read them; and URLs hold as long as the upload"
    },
    "multipart complete": NO_UPLOAD,
    "multipart abort": NO_UPLOAD,
    "list after deletion": {"body": "a deleted directory is gone, where MLflow still lists a part of it"},
}
ON_PURPOSE = {"local": LOCAL, "s3": S3}
"""Where we differ from MLflow 3.17.2, by backend, by request and by what differs, and why."""


@cache
def recorded(name: str) -> dict[str, Answer]:
    answers: dict[str, Answer] = json.loads((RECORDED / name).read_text())
    return answers


@pytest.fixture(scope="module")
def answers(request: pytest.FixtureRequest) -> Callable[[str], dict[str, Answer]]:
    """Gives those of the server over a backend, which is asked once. Over S3 it has --presign."""
    proxies = {"local": "local_proxy", "s3": "presigning_proxy"}

    @cache
    def given(backend: str) -> dict[str, Answer]:
        proxy: Proxy = request.getfixturevalue(proxies[backend])
        return probe(proxy.server.url)

    return given


@pytest.mark.parametrize("name", REQUESTS)
def test_the_answer_is_the_recorded_one(
    answers: Callable[[str], dict[str, Answer]], backend: str, name: str
) -> None:
    assert answers(backend)[name] == recorded(f"{backend}.json")[name]


@pytest.mark.parametrize("name", REQUESTS)
def test_the_answer_differs_from_that_of_mlflow_only_on_purpose(
    answers: Callable[[str], dict[str, Answer]], backend: str, name: str
) -> None:
    found = differences(answers(backend)[name], recorded(f"mlflow-3.17.2-{backend}.json")[name])
    assert found == set(ON_PURPOSE[backend].get(name, {})), "found, and listed as on purpose"


def test_recordings_and_reasons_are_of_requests_that_are_made(backend: str) -> None:
    assert recorded(f"{backend}.json").keys() == REQUESTS.keys()
    assert recorded(f"mlflow-3.17.2-{backend}.json").keys() == REQUESTS.keys()
    assert ON_PURPOSE[backend].keys() <= REQUESTS.keys()
    assert all(reason for reasons in ON_PURPOSE[backend].values() for reason in reasons.values())


def differences(ours: Answer, theirs: Answer) -> set[str]:
    """What a client could notice: the status, what the body means, and the headers that it reads."""
    found = {aspect for aspect in RELIED_ON if header(ours, aspect) != header(theirs, aspect)}
    if ours["status"] != theirs["status"]:
        found.add("status")
    if meaning(ours) != meaning(theirs):
        found.add("body")
    # The length of JSON is a matter of its spaces, that of an artifact is not.
    is_artifact = "content-disposition" in theirs["headers"]
    if is_artifact and header(ours, "content-length") != header(theirs, "content-length"):
        found.add("content-length")
    return found


def header(answer: Answer, name: str) -> object:
    """The header's value, that of Allow as the set that it is; None if there is no use for it."""
    value = answer["headers"].get(name)
    if name == "content-type" and answer["body"] == "" and "content-disposition" not in answer["headers"]:
        return None  # of nothing
    return frozenset(value.split(", ")) if value and name == "allow" else value


def meaning(answer: Answer) -> object:
    """The body without the wording of an error, except where clients read it."""
    body = answer["body"]
    if answer["status"] < 400 or answer["status"] == 501:
        return body
    return body["error_code"] if isinstance(body, dict) and "error_code" in body else body
