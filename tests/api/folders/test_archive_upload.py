"""A directory filled from one archive: nothing of it before all of it was judged."""

from __future__ import annotations

import hashlib
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.support.access import bearer, token_stanza
from tests.support.archives import FORMATS, TREE, Format, packed, unpacked
from tests.support.bystander import unchanged
from tests.support.guarded import DENIED, audited, guarded, told
from tests.support.presigning import Place
from tests.support.raw import connection, head, read_answer
from tests.support.server import Server, running

INVALID = (400, "INVALID_PARAMETER_VALUE")
CONFLICT = (409, "RESOURCE_ALREADY_EXISTS")
UNFIT = (412, "INVALID_STATE")
LARGE = (413, "INVALID_PARAMETER_VALUE")
FULL = (507, "QUOTA_EXCEEDED")
formats = pytest.mark.parametrize("archive", FORMATS)


@pytest.fixture
def fill(over: Server, client: httpx.Client, folder: str) -> Callable[..., httpx.Response]:
    """Sends an archive to this test's directory."""

    def filled(archive: Format, content: bytes, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{over.native}/{folder}/"
        return client.put(url, params={"archive": archive}, content=content, headers=named)

    return filled


class TestContent:
    @formats
    def test_its_members_are_artifacts(
        self,
        over: Server,
        client: httpx.Client,
        folder: str,
        fill: Callable[..., httpx.Response],
        archive: Format,
    ) -> None:
        stored = fill(archive, packed(archive, TREE))
        assert stored.status_code == 201
        size = sum(map(len, TREE.values()))
        assert stored.json() == {"path": folder, "artifacts": len(TREE), "size": size}
        assert stored.headers["location"] == f"/v1/artifacts/{quote(folder)}/"
        for name, content in TREE.items():
            assert client.get(f"{over.native}/{folder}/{quote(name)}").content == content, name

    def test_an_archive_that_was_fetched_gives_the_same_again(
        self, over: Server, client: httpx.Client, folder: str, fill: Callable[..., httpx.Response]
    ) -> None:
        fill("tar", packed("tar", TREE)).raise_for_status()
        for archive in FORMATS:
            url = f"{over.native}/{folder}/"
            got = client.get(url, params={"archive": archive}).content
            again = f"{over.native}/{folder}-{archive}/"
            assert client.put(again, params={"archive": archive}, content=got).status_code == 201
            assert unpacked("tar", client.get(again, params={"archive": "tar"}).content) == TREE

    def test_what_tar_makes_of_a_directory_is_taken(
        self, server: Server, client: httpx.Client, folder: str, tmp_path: Path
    ) -> None:
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "a").write_bytes(b"data")
        (tmp_path / ("long" * 60)).write_bytes(b"name")
        command = ["tar", "-C", str(tmp_path), "-cf", "-", "."]
        made = subprocess.run(command, check=True, capture_output=True).stdout
        stored = client.put(f"{server.native}/{folder}/", params={"archive": "tar"}, content=made)
        assert stored.json()["artifacts"] == 2
        assert (server.root / folder / "sub" / "a").read_bytes() == b"data"

    def test_curl_sends_what_it_reads_from_its_input(
        self, server: Server, folder: str, need: Callable[[str], str]
    ) -> None:
        url = f"{server.native}/{folder}/?archive=zip"
        command = [need("curl"), "--disable", "-sS", "-T", "-", url]
        sent = subprocess.run(command, input=packed("zip", {"a": b"data"}), check=True, capture_output=True)
        assert b'"artifacts":1' in sent.stdout
        assert (server.root / folder / "a").read_bytes() == b"data"

    def test_artifacts_are_replaced_and_others_stay(
        self, over: Server, client: httpx.Client, folder: str, fill: Callable[..., httpx.Response]
    ) -> None:
        fill("tar", packed("tar", {"a": b"old", "b": b"other"})).raise_for_status()
        assert fill("zip", packed("zip", {"a": b"new"})).status_code == 201
        assert client.get(f"{over.native}/{folder}/a").content == b"new"
        assert client.get(f"{over.native}/{folder}/b").content == b"other"

    def test_the_root_is_filled_like_any_directory(
        self, server: Server, client: httpx.Client, folder: str
    ) -> None:
        content = packed("tar", {f"{folder}/a": b"data"})
        stored = client.put(f"{server.native}/", params={"archive": "tar"}, content=content)
        assert stored.json() == {"path": "", "artifacts": 1, "size": 4}
        assert stored.headers["location"] == "/v1/artifacts/"
        assert (server.root / folder / "a").read_bytes() == b"data"


class TestConditions:
    def test_create_only_is_for_each_member(
        self, watched: Server | Place, fill: Callable[..., httpx.Response]
    ) -> None:
        assert fill("tar", packed("tar", {"a": b"1"}), If_None_Match="*").status_code == 201
        with unchanged(watched):
            refused = fill("tar", packed("tar", {"0": b"0", "a": b"2", "z": b"9"}), If_None_Match="*")
            assert told(refused) == UNFIT

    @pytest.mark.parametrize(
        "header",
        [
            ("If-Match", "*"),
            ("If-None-Match", '"x"'),
            ("If-Unmodified-Since", "Tue, 01 Jan 2030 00:00:00 GMT"),
        ],
    )
    def test_what_is_about_one_artifact_is_refused(
        self, server: Server, client: httpx.Client, folder: str, header: tuple[str, str]
    ) -> None:
        url = f"{server.native}/{folder}/"
        content = packed("tar", {"a": b""})
        with unchanged(server):
            refused = client.put(url, params={"archive": "tar"}, content=content, headers=dict([header]))
            assert told(refused) == INVALID
            assert "If-None-Match: *" in refused.json()["message"]

    def test_digests_are_of_the_archive(
        self, watched: Server | Place, fill: Callable[..., httpx.Response]
    ) -> None:
        content = packed("zip", TREE)
        digest = b64encode(hashlib.sha256(content).digest()).decode()
        with unchanged(watched):
            for name in ("Repr-Digest", "Content-Digest"):
                refused = fill("zip", content, **{name: f"sha-256=:{b64encode(bytes(32)).decode()}:"})
                assert told(refused) == INVALID
        assert fill("zip", content, Repr_Digest=f"sha-256=:{digest}:").status_code == 201


class TestPlaces:
    @pytest.mark.parametrize("there", ["a/b", "a"])
    def test_a_file_and_a_directory_cannot_be_in_one_place(
        self,
        over: Server,
        client: httpx.Client,
        folder: str,
        watched: Server | Place,
        fill: Callable[..., httpx.Response],
        there: str,
    ) -> None:
        client.put(f"{over.native}/{folder}/{there}", content=b"there").raise_for_status()
        name = "a" if there == "a/b" else "a/b"
        with unchanged(watched):
            assert told(fill("tar", packed("tar", {"0": b"0", name: b"x", "z": b"9"}))) == CONFLICT

    @pytest.mark.parametrize(
        ("target", "said"),
        [
            ("{folder}/", "?archive=tar or ?archive=zip"),
            ("{folder}/?archive=", "known are tar and zip"),
            ("{folder}/?archive=gz", "known are tar and zip"),
            ("{folder}/a.tar?archive=tar", "end the path with a slash"),
        ],
    )
    def test_where_it_is_unclear_what_is_meant_nothing_is_stored(
        self, server: Server, client: httpx.Client, folder: str, target: str, said: str
    ) -> None:
        with unchanged(server):
            url = f"{server.native}/{target.format(folder=folder)}"
            refused = client.put(url, content=packed("tar", {"a": b""}))
            assert told(refused) == INVALID
            assert said in refused.json()["message"]

    def test_a_compressed_body_is_refused(self, server: Server, client: httpx.Client, folder: str) -> None:
        url, headers = f"{server.native}/{folder}/", {"Content-Encoding": "gzip"}
        with unchanged(server):
            refused = client.put(url, params={"archive": "tar"}, content=b"x", headers=headers)
            assert refused.status_code == 415


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that takes artifacts of 1,000 bytes, and 3,000 bytes below `users/a` and 2,000 below its `b`."""
    flags = ("--max-artifact-size", "1000", "--quotas", '{"users/a/": 3000, "users/a/b/": 2000}')
    with running(tmp_path_factory.mktemp("limited") / "root", *flags) as server:
        yield server


class TestLimits:
    @formats
    def test_the_size_of_an_artifact_is_that_of_a_member(
        self, limited: Server, client: httpx.Client, archive: Format
    ) -> None:
        def put(size: int) -> httpx.Response:
            content = packed(archive, {"a": bytes(1000), "b": bytes(size), "c": bytes(1000)})
            return client.put(f"{limited.native}/sizes/", params={"archive": archive}, content=content)

        with unchanged(limited):
            assert told(put(1001)) == LARGE
        assert put(1000).json()["size"] == 3000

    def test_a_quota_is_for_all_members_together_below_each_prefix(
        self, limited: Server, client: httpx.Client
    ) -> None:
        def put(**members: int) -> httpx.Response:
            content = packed("tar", {name.replace("_", "/"): bytes(size) for name, size in members.items()})
            return client.put(f"{limited.native}/users/a/", params={"archive": "tar"}, content=content)

        with unchanged(limited):
            assert told(put(x=1000, y=1000, z=1000, v=1)) == FULL
            assert told(put(b_x=1000, b_y=1000, b_z=1)) == FULL
        for _ in range(3):  # what is refused takes no room
            client.put(f"{limited.native}/users/a/there/x", content=b"").raise_for_status()
            assert told(put(x=1000, there=1000)) == CONFLICT
        assert put(b_x=1000, b_y=1000).status_code == 201
        with unchanged(limited):
            assert told(put(x=1000, y=1)) == FULL
        assert put(x=1000).status_code == 201


def test_members_are_stored_where_the_caller_may_write(client: httpx.Client, tmp_path: Path) -> None:
    token, stanza = token_stanza("writer", "write:d/", deny=["write:d/locked"])
    log = tmp_path / "audit.jsonl"
    with guarded(tmp_path / "server", stanza, flags=("--audit-log", str(log))) as server:

        def put(directory: str, *names: str) -> httpx.Response:
            url = f"{server.native}/{directory}"
            content = packed("tar", dict.fromkeys(names, b"x"))
            return client.put(url, params={"archive": "tar"}, content=content, headers=bearer(token))

        with unchanged(server):
            assert told(put("d/", "a", "locked/b", "c")) == DENIED
            assert told(put("e/", "a")) == DENIED
            assert told(put("d/locked/", "a")) == DENIED
            assert told(put("", "a")) == DENIED
            with connection(server.url) as connected:  # and before the archive is sent, where that is clear
                headers = (
                    f"Authorization: Bearer {token}",
                    "Expect: 100-continue",
                    "Content-Length: 1000000",
                )
                connected.sendall(head("PUT", "/v1/artifacts/e/?archive=tar", *headers))
                assert read_answer(connected).status == 403
        assert put("", "d/a", "d/sub/b").status_code == 201
        assert put("d/", "a").status_code == 201
    lines = audited(log)
    written = [(line["action"], line["path"], line["status"]) for line in lines if line["event"] == "request"]
    assert ("write", "d", 403) in written
    assert written[-1] == ("write", "d", 201)
    # And what it was, by whom, in lines before that of its request.
    stored = [line for line in lines if line["event"] == "stored"]
    assert [line["paths"] for line in stored] == [["d/a", "d/sub/b"], ["d/a"]]
    for key in ("request_id", "who"):
        assert stored[-1][key] == lines[-1][key]


def test_the_audit_log_names_all_that_was_stored_in_lines_of_bounded_length(
    client: httpx.Client, tmp_path: Path
) -> None:
    log = tmp_path / "audit.jsonl"
    awkward = "é" * 120 + "/" + '"' * 100
    names = [f"{number:03}/{awkward}" for number in range(200)]
    names += ["/".join(["ü" * 127] * 4)[:510], *(f"file-{number}" for number in range(2000))]
    with running(tmp_path / "root", "--audit-log", str(log)) as server:
        content = packed("tar", dict.fromkeys(names, b""))
        url = f"{server.native}/d/"
        sent = client.put(url, params={"archive": "tar"}, content=content, headers={"X-Request-Id": "i" * 64})
        assert sent.status_code == 201
    stored = [line for line in audited(log) if line["event"] == "stored"]
    assert [path for line in stored for path in line["paths"]] == [f"d/{name}" for name in names]
    # A pipe takes lines of so many bytes in one piece.
    assert max(map(len, log.read_bytes().splitlines(keepends=True))) <= 4096
    assert len(stored) < len(names) / 5


def test_a_server_that_only_reads_takes_none(
    serve: Callable[..., Server], client: httpx.Client, tmp_path: Path
) -> None:
    (tmp_path / "root").mkdir()
    server = serve("--read-only")
    with unchanged(server):
        url = f"{server.native}/d/"
        refused = client.put(url, params={"archive": "tar"}, content=packed("tar", {"a": b""}))
        assert told(refused) == DENIED
        assert told(client.post(url, files={"f": ("a", b"x")})) == DENIED
