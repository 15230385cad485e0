"""Uploads, downloads, conditions, ranges and digests over HTTP, the same on every surface."""

from __future__ import annotations

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.server import Server

LARGE = bytes(range(256)) * 4096 * 3  # 3 MiB


def sha(data: bytes, name: str = "sha256") -> str:
    return base64.b64encode(hashlib.new(name, data).digest()).decode()


class TestTransfer:
    @pytest.mark.parametrize("data", [b"", b"a", LARGE], ids=["empty", "small", "large"])
    def test_what_was_put_is_got_with_its_length(
        self, base: str, client: httpx.Client, server: Server, folder: str, data: bytes
    ) -> None:
        assert client.put(f"{base}/d/a.bin", content=data).is_success
        answer = client.get(f"{base}/d/a.bin")
        assert answer.content == data
        assert answer.headers["content-length"] == str(len(data))
        assert server.tree()[f"{folder}/d/a.bin"] == data

    def test_a_body_of_unknown_length_is_stored(self, base: str, client: httpx.Client) -> None:
        pieces = [LARGE, b"", b"tail"]
        assert client.put(f"{base}/a", content=iter(pieces)).is_success
        assert client.get(f"{base}/a").content == LARGE + b"tail"

    def test_head_is_get_without_the_body(self, base: str, client: httpx.Client) -> None:
        client.put(f"{base}/a.json", content=b"{}")
        get, head = client.get(f"{base}/a.json"), client.head(f"{base}/a.json")
        assert head.content == b""
        ignored = {"date", "x-request-id"}
        assert {k: v for k, v in head.headers.items() if k not in ignored} == {
            k: v for k, v in get.headers.items() if k not in ignored
        }

    def test_an_artifact_is_never_a_page(self, base: str, client: httpx.Client) -> None:
        client.put(f"{base}/evil.html", content=b"<script>alert(1)</script>")
        headers = client.get(f"{base}/evil.html").headers
        assert headers["content-type"] == "text/html"
        assert headers["content-disposition"] == "attachment; filename=evil.html"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert "server" not in headers

    def test_a_directory_is_not_an_artifact(self, base: str, client: httpx.Client) -> None:
        client.put(f"{base}/d/a", content=b"x")
        for method in ("GET", "HEAD"):
            assert client.request(method, f"{base}/d").status_code == 400
        assert client.get(f"{base}/d").json()["error_code"] == "INVALID_PARAMETER_VALUE"

    def test_missing_is_404(self, base: str, client: httpx.Client) -> None:
        answer = client.get(f"{base}/nope")
        assert answer.status_code == 404
        assert answer.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
        assert "nope" in answer.json()["message"]
        assert client.head(f"{base}/nope").status_code == 404

    def test_conflicts_are_409_and_change_nothing(
        self, base: str, client: httpx.Client, server: Server, folder: str
    ) -> None:
        client.put(f"{base}/a/b", content=b"x")
        for name in ("a", "a/b/c"):
            answer = client.put(f"{base}/{name}", content=b"new")
            assert answer.status_code == 409
            assert answer.json()["error_code"] == "RESOURCE_ALREADY_EXISTS"
        assert {k: v for k, v in server.tree().items() if k.startswith(folder)} == {f"{folder}/a/b": b"x"}

    def test_deletion_is_by_whole_segments_and_idempotent(self, base: str, client: httpx.Client) -> None:
        for name in ("ab/1", "ab/c/2", "abc"):
            client.put(f"{base}/{name}", content=b"x")
        for _ in range(2):
            assert client.delete(f"{base}/ab/").is_success
        assert client.get(f"{base}/ab/1").status_code == 404
        assert client.get(f"{base}/abc").status_code == 200

    @pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
    def test_a_content_encoding_is_415(self, base: str, client: httpx.Client, encoding: str) -> None:
        answer = client.put(f"{base}/a", content=b"x", headers={"Content-Encoding": encoding})
        assert answer.status_code == 415
        assert client.get(f"{base}/a").status_code == 404

    def test_a_part_of_an_artifact_cannot_be_put(self, base: str, client: httpx.Client) -> None:
        answer = client.put(f"{base}/a", content=b"x", headers={"Content-Range": "bytes 0-0/5"})
        assert answer.status_code == 400
        assert client.get(f"{base}/a").status_code == 404


class TestRanges:
    @pytest.mark.parametrize(
        ("asked", "content", "content_range"),
        [
            ("bytes=0-0", b"0", "bytes 0-0/10"),
            ("bytes=2-4", b"234", "bytes 2-4/10"),
            ("bytes=7-", b"789", "bytes 7-9/10"),
            ("bytes=-3", b"789", "bytes 7-9/10"),
            ("bytes=0-9", b"0123456789", "bytes 0-9/10"),
            ("bytes=5-" + "9" * 50, b"56789", "bytes 5-9/10"),
            ("BYTES=1-1", b"1", "bytes 1-1/10"),
        ],
    )
    def test_one_range_is_206(
        self, base: str, client: httpx.Client, asked: str, content: bytes, content_range: str
    ) -> None:
        client.put(f"{base}/a", content=b"0123456789")
        answer = client.get(f"{base}/a", headers={"Range": asked})
        assert (answer.status_code, answer.content) == (206, content)
        assert answer.headers["content-range"] == content_range
        assert answer.headers["content-length"] == str(len(content))

    @pytest.mark.parametrize(
        "asked", ["bytes=9-1", "bytes=0-1,3-4", "bytes=", "bytes=-", "lines=1-2", "bytes=a-b", "bytes 0-1"]
    )
    def test_what_is_no_range_or_more_than_one_is_ignored(
        self, base: str, client: httpx.Client, asked: str
    ) -> None:
        client.put(f"{base}/a", content=b"0123456789")
        answer = client.get(f"{base}/a", headers={"Range": asked})
        assert (answer.status_code, answer.content) == (200, b"0123456789")

    @pytest.mark.parametrize("asked", ["bytes=10-", "bytes=99-100", "bytes=-0", "bytes=" + "9" * 50 + "-"])
    def test_a_range_outside_is_416_with_the_size(self, base: str, client: httpx.Client, asked: str) -> None:
        client.put(f"{base}/a", content=b"0123456789")
        answer = client.get(f"{base}/a", headers={"Range": asked})
        assert answer.status_code == 416
        assert answer.headers["content-range"] == "bytes */10"

    def test_every_range_of_an_empty_artifact_is_416(self, base: str, client: httpx.Client) -> None:
        client.put(f"{base}/a", content=b"")
        for asked in ("bytes=0-", "bytes=0-0", "bytes=-1"):
            answer = client.get(f"{base}/a", headers={"Range": asked})
            assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */0")

    def test_head_ignores_a_range(self, base: str, client: httpx.Client) -> None:
        client.put(f"{base}/a", content=b"0123456789")
        answer = client.head(f"{base}/a", headers={"Range": "bytes=0-1"})
        assert (answer.status_code, answer.headers["content-length"]) == (200, "10")

    def test_if_range_serves_the_range_only_of_that_version(self, base: str, client: httpx.Client) -> None:
        etag = client.put(f"{base}/a", content=b"0123456789").headers["etag"]
        asked = {"Range": "bytes=0-1"}
        assert client.get(f"{base}/a", headers=asked | {"If-Range": etag}).status_code == 206
        modified = client.head(f"{base}/a").headers["last-modified"]
        for other in ('"other"', f"W/{etag}", modified):
            answer = client.get(f"{base}/a", headers=asked | {"If-Range": other})
            assert (answer.status_code, answer.content) == (200, b"0123456789"), other
        outside = {"Range": "bytes=50-", "If-Range": '"other"'}
        assert client.get(f"{base}/a", headers=outside).status_code == 200
        assert client.get(f"{base}/a", headers=outside | {"If-Range": etag}).status_code == 416

    def test_ranges_put_together_are_the_artifact(self, base: str, client: httpx.Client) -> None:
        client.put(f"{base}/a", content=LARGE)
        step = 700_001
        parts = [
            client.get(f"{base}/a", headers={"Range": f"bytes={start}-{start + step - 1}"}).content
            for start in range(0, len(LARGE), step)
        ]
        assert b"".join(parts) == LARGE


class TestConditions:
    def test_a_version_that_the_client_has_is_304_without_a_body(
        self, base: str, client: httpx.Client
    ) -> None:
        client.put(f"{base}/a", content=b"data")
        known = client.get(f"{base}/a").headers
        for condition in (
            {"If-None-Match": known["etag"]},
            {"If-None-Match": f'"x", W/{known["etag"]}'},
            {"If-None-Match": "*"},
            {"If-Modified-Since": known["last-modified"]},
            {"If-None-Match": known["etag"], "Range": "bytes=0-1"},
            {"If-None-Match": known["etag"], "Range": "bytes=99-"},
        ):
            for method in ("GET", "HEAD"):
                answer = client.request(method, f"{base}/a", headers=condition)
                assert (answer.status_code, answer.content) == (304, b""), condition
                assert answer.headers["etag"] == known["etag"]

    def test_another_version_is_sent(self, base: str, client: httpx.Client) -> None:
        old = client.put(f"{base}/a", content=b"old").headers["etag"]
        new = client.put(f"{base}/a", content=b"old").headers["etag"]
        assert old != new
        for condition in (
            {"If-None-Match": old},
            {"If-Modified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"},
            {"If-Modified-Since": "yesterday"},
            # With If-None-Match, If-Modified-Since does not count.
            {"If-None-Match": old, "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
        ):
            assert client.get(f"{base}/a", headers=condition).status_code == 200, condition

    def test_a_read_whose_precondition_fails_is_412(self, base: str, client: httpx.Client) -> None:
        etag = client.put(f"{base}/a", content=b"data").headers["etag"]
        past = "Mon, 01 Jan 2001 00:00:00 GMT"
        for condition, status in (
            ({"If-Match": '"other"'}, 412),
            ({"If-Match": f"W/{etag}"}, 412),
            ({"If-Match": etag}, 200),
            ({"If-Match": "*"}, 200),
            ({"If-Unmodified-Since": past}, 412),
            ({"If-Unmodified-Since": "yesterday"}, 200),
            ({"If-Match": etag, "If-Unmodified-Since": past}, 200),
        ):
            for method in ("GET", "HEAD"):
                answer = client.request(method, f"{base}/a", headers=condition)
                assert answer.status_code == status, condition

    def test_writes_are_conditional(self, base: str, client: httpx.Client) -> None:
        assert client.put(f"{base}/a", content=b"1", headers={"If-Match": "*"}).status_code == 412
        create = {"If-None-Match": "*"}
        etag = client.put(f"{base}/a", content=b"1", headers=create).headers["etag"]
        refused = client.put(f"{base}/a", content=b"2", headers=create)
        assert (refused.status_code, refused.json()["error_code"]) == (412, "INVALID_STATE")
        assert client.put(f"{base}/a", content=b"3", headers={"If-Match": etag}).is_success
        assert client.put(f"{base}/a", content=b"4", headers={"If-Match": etag}).status_code == 412
        assert client.delete(f"{base}/a", headers={"If-Match": etag}).status_code == 412
        assert client.get(f"{base}/a").content == b"3"

    @pytest.mark.parametrize("value", ["abc", '"a" "b"', "*, *", '"a', "", 'w/"a"', '"a", b'])
    def test_a_write_whose_condition_cannot_be_read_is_400(
        self, base: str, client: httpx.Client, value: str
    ) -> None:
        client.put(f"{base}/a", content=b"old")
        for name in ("If-Match", "If-None-Match"):
            for method in ("PUT", "DELETE"):
                answer = client.request(method, f"{base}/a", content=b"", headers={name: value})
                assert answer.status_code == 400
        assert client.get(f"{base}/a").content == b"old"

    def test_of_200_parallel_creators_exactly_one_succeeds(
        self, base: str, client: httpx.Client, server: Server, folder: str
    ) -> None:
        def create(number: int) -> int:
            headers = {"If-None-Match": "*"}
            return client.put(f"{base}/a", content=b"%d" % number, headers=headers).status_code

        with ThreadPoolExecutor(20) as pool:
            statuses = list(pool.map(create, range(200)))
        assert sorted(set(statuses) - {200, 201}) == [412]
        assert sum(status < 300 for status in statuses) == 1
        [winner] = [number for number, status in enumerate(statuses) if status < 300]
        assert server.tree()[f"{folder}/a"] == b"%d" % winner


class TestDigests:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Content-MD5": sha(LARGE, "md5")},
            {"Content-Digest": f"sha-256=:{sha(LARGE)}:"},
            {"Repr-Digest": f"sha-512=:{sha(LARGE, 'sha512')}:, sha-256=:{sha(LARGE)}:"},
            {"Repr-Digest": "crc32c=:AAAAAA==:"},
        ],
    )
    def test_a_right_digest_or_an_unknown_one_is_accepted(
        self, base: str, client: httpx.Client, headers: dict[str, str]
    ) -> None:
        assert client.put(f"{base}/a", content=LARGE, headers=headers).is_success

    @pytest.mark.parametrize(
        "headers",
        [
            {"Content-MD5": sha(b"other", "md5")},
            {"Content-MD5": "not base64"},
            {"Content-Digest": f"sha-256=:{sha(b'other')}:"},
            {"Repr-Digest": f"sha-512=:{sha(b'other', 'sha512')}:"},
            {"Repr-Digest": f"sha-256=:{sha(LARGE)}:, sha-512=:{sha(b'other', 'sha512')}:"},
            {"Repr-Digest": "sha-256=:AAAA:"},
            {"Repr-Digest": "sha-256=text"},
            {"Repr-Digest": "((("},
        ],
    )
    def test_a_wrong_digest_is_400_and_the_old_artifact_stays(
        self, base: str, client: httpx.Client, server: Server, headers: dict[str, str]
    ) -> None:
        client.put(f"{base}/a", content=b"old")
        answer = client.put(f"{base}/a", content=LARGE, headers=headers)
        assert answer.status_code == 400
        assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
        assert client.get(f"{base}/a").content == b"old"

    @pytest.mark.parametrize(
        ("wish", "answer"),
        [
            ("sha-256=1", f"sha-256=:{sha(LARGE)}:"),
            ("sha-256=1, sha-512=9", f"sha-512=:{sha(LARGE, 'sha512')}:"),
            ("sha-256=5, sha-512=0, md5=9", f"sha-256=:{sha(LARGE)}:"),
            ("md5=9", None),
            ("nonsense=((", None),
        ],
    )
    def test_a_wanted_digest_is_answered(
        self, base: str, client: httpx.Client, wish: str, answer: str | None
    ) -> None:
        stored = client.put(f"{base}/a", content=LARGE, headers={"Want-Repr-Digest": wish})
        assert stored.is_success
        assert stored.headers.get("repr-digest") == answer


def test_reads_and_deletions_during_writes_see_one_version_whole(base: str, client: httpx.Client) -> None:
    versions = [bytes([number]) * 700_000 for number in range(4)]
    client.put(f"{base}/d/a", content=versions[0])

    def write(number: int) -> bool:
        return client.put(f"{base}/d/a", content=versions[number % 4]).is_success

    def read(_: int) -> bool:
        return client.get(f"{base}/d/a").content in versions

    def write_and_delete_the_parent(number: int) -> bool:
        written = client.put(f"{base}/e/{number}", content=b"x")
        return written.is_success and client.delete(f"{base}/e").is_success

    with ThreadPoolExecutor(8) as pool:
        running = [pool.map(work, range(24)) for work in (write, read, write_and_delete_the_parent)]
        assert all(all(results) for results in running)
