"""Answers that no server should give: a sentence comes of them, and never a traceback."""

from __future__ import annotations

import pytest

from artifact_proxy import ArtifactError, Client, ConfigurationError, Unavailable
from tests.client.answering import Answer, answering
from tests.support.client_command import Run

ETAG = {"ETag": '"x"'}
NESTED = b"[" * 50_000


@pytest.mark.parametrize("told", ["abcde", "YWJj", "====", ""])
def test_a_digest_that_is_none_is_an_error(told: str) -> None:
    odd = Answer(b"abc", headers=ETAG | {"Repr-Digest": f"sha-256=:{told}:"})
    with answering(odd) as url, Client(url) as client:
        with pytest.raises(ArtifactError, match="a sha-256 that is none"):
            client.digest("a")
        with pytest.raises(ArtifactError, match="a sha-256 that is none"):
            client.get("a", verify=True)


@pytest.mark.parametrize("told", ["\xb2", "9" * 5000, "Sat, 99 Nov 99999 99:99:99 GMT", "Sat, 15 Nov", ","])
def test_a_time_to_wait_that_is_none_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    slept: list[float] = []
    monkeypatch.setattr("artifact_proxy.stopping.sleep", slept.append)
    with (
        answering(Answer(status=503, headers={"Retry-After": told})) as url,
        Client(url, retries=1) as client,
        pytest.raises(Unavailable),
    ):
        client.stat("a")
    assert len(slept) == 1
    assert slept[0] <= 121


def test_an_answer_without_an_end_of_its_nesting_is_an_error() -> None:
    with answering(Answer(NESTED)) as url, Client(url) as client:
        with pytest.raises(ConfigurationError, match="makes no sense"):
            list(client.list())
        with pytest.raises(ConfigurationError, match="makes no sense"):
            client.put_bytes(b"x", "a")
    with (
        answering(Answer(NESTED, 400)) as url,
        Client(url) as client,
        pytest.raises(ArtifactError, match="400"),
    ):
        list(client.list())


@pytest.mark.parametrize("headers", [{"Content-Length": "\xb2"}, {"Last-Modified": "Sat, 99 Nov 99999"}])
def test_what_the_headers_cannot_mean_is_unknown(headers: dict[str, str]) -> None:
    with answering(Answer(headers=ETAG | headers)) as url, Client(url) as client:
        entry = client.stat("a")
    assert (entry.size in {None, 0}, entry.modified) == (True, None)


def test_a_time_of_another_zone_is_told_in_utc_and_one_that_is_none_is_no_listing(run: Run) -> None:
    entry = '{"path": "a", "is_dir": false, "size": 1, "etag": "x", "modified": "%s"}'
    listing = '{"entries": [%s], "next_page_token": null}'

    def listed(modified: str) -> Answer:
        return Answer((listing % (entry % modified)).encode())

    with answering(listed("2026-01-01T01:00:00+01:00")) as url:
        assert "2026-01-01 00:00:00Z" in run("ls", "-l", "--server", url).out
    with answering(listed("0001-01-01T00:00:00+23:59")) as url:
        ended = run("ls", "-l", "--server", url)
    assert (ended.status, ended.out) == (2, "")
    assert "makes no sense" in ended.err


def test_half_a_character_in_a_name_is_written_as_an_escape(run: Run) -> None:
    entries = '{"path": "d/\\ud800", "is_dir": false, "size": 1, "etag": "x", "modified": null}'
    with answering(Answer(b'{"entries": [%s], "next_page_token": null}' % entries.encode())) as url:
        assert run("ls", "d", "--server", url).out == "\\ud800\n"
        ended = run("get", "-r", "d", "here", "--server", url)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "not valid Unicode" in ended.err
