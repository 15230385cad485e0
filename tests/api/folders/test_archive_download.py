"""A directory fetched as one archive: by other programs, in both formats, over both kinds of storage."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.support.access import bearer, token_stanza
from tests.support.archives import FORMATS, TREE, Format, unpacked
from tests.support.guarded import DENIED, guarded, told
from tests.support.raw import connection, exchange, head
from tests.support.server import Server
from tests.support.waiting import wait_until

INVALID = (400, "INVALID_PARAMETER_VALUE")
MISSING = (404, "RESOURCE_DOES_NOT_EXIST")
formats = pytest.mark.parametrize("archive", FORMATS)


@pytest.fixture(scope="module", params=["local", "s3"])
def over(request: pytest.FixtureRequest) -> Server:
    """A server over a root of each kind."""
    started: Server = request.getfixturevalue("server" if request.param == "local" else "plain")
    return started


@pytest.fixture(scope="module")
def tree(over: Server, client: httpx.Client) -> str:
    """The URL of a directory with TREE in it."""
    url = f"{over.native}/archived/tree"
    for name, content in TREE.items():
        client.put(f"{url}/{quote(name)}", content=content).raise_for_status()
    return url


@pytest.fixture(scope="module")
def small(server: Server, client: httpx.Client) -> str:
    """One with a single artifact."""
    client.put(f"{server.native}/small/a", content=b"data").raise_for_status()
    return f"{server.native}/small/"


class TestContent:
    @formats
    def test_it_is_what_python_reads_from_it(self, tree: str, client: httpx.Client, archive: Format) -> None:
        got = client.get(f"{tree}/", params={"archive": archive})
        assert got.status_code == 200
        assert unpacked(archive, got.content) == TREE

    @formats
    def test_it_is_what_other_programs_unpack(
        self, tree: str, client: httpx.Client, archive: Format, tmp_path: Path, need: Callable[[str], str]
    ) -> None:
        file = tmp_path / f"tree.{archive}"
        file.write_bytes(client.get(f"{tree}/", params={"archive": archive}).content)
        directory = tmp_path / "unpacked"
        directory.mkdir()
        command = [need("unzip"), "-q", str(file)] if archive == "zip" else ["tar", "-xf", str(file)]
        environment = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            command, cwd=directory, env=environment, check=True, capture_output=True, text=True
        )
        assert (done.stdout, done.stderr) == ("", "")
        files = {
            str(path.relative_to(directory)): path.read_bytes()
            for path in directory.rglob("*")
            if path.is_file()
        }
        assert files == TREE

    def test_it_is_a_part_of_a_tree_or_all_of_it(self, tree: str, over: Server, client: httpx.Client) -> None:
        part = client.get(f"{tree}/sub/", params={"archive": "zip"}).content
        assert list(unpacked("zip", part)) == ["deeper/still/x", "model.bin"]
        whole = client.get(f"{over.native}/", params={"archive": "zip"})
        assert f"archived/tree/{'n' * 255}" in unpacked("zip", whole.content)
        assert whole.headers["content-disposition"] == "attachment; filename=artifacts.zip"

    def test_it_keeps_the_times_of_artifacts(
        self, small: str, client: httpx.Client, server: Server, tmp_path: Path
    ) -> None:
        file = tmp_path / "a.tar"
        file.write_bytes(client.get(small, params={"archive": "tar"}).content)
        subprocess.run(["tar", "-xf", file], cwd=tmp_path, check=True)
        assert int((tmp_path / "a").stat().st_mtime) == int((server.root / "small" / "a").stat().st_mtime)


class TestHeaders:
    @formats
    def test_they_say_what_it_is_and_that_it_is_never_a_page(
        self, small: str, client: httpx.Client, archive: Format
    ) -> None:
        got = client.get(small, params={"archive": archive})
        kind = {"zip": "application/zip", "tar": "application/x-tar"}[archive]
        expected = {
            "content-type": kind,
            "content-disposition": f"attachment; filename=small.{archive}",
            "content-security-policy": "sandbox; default-src 'none'",
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
            "accept-ranges": "none",
            "vary": "Accept",
            "transfer-encoding": "chunked",
        }
        assert {name: got.headers.get(name) for name in expected} == expected
        assert not {"content-length", "etag", "last-modified"} & set(got.headers)

    @formats
    def test_those_of_head_are_the_same_without_a_body(
        self, small: str, client: httpx.Client, archive: Format
    ) -> None:
        got, seen = (client.request(method, small, params={"archive": archive}) for method in ("GET", "HEAD"))
        own = {"date", "x-request-id", "transfer-encoding"}
        assert {n: v for n, v in seen.headers.items() if n not in own} == {
            n: v for n, v in got.headers.items() if n not in own
        }
        assert seen.content == b""
        assert client.head(f"{small}none/", params={"archive": archive}).status_code == 404

    def test_a_name_beyond_ascii_is_told_as_browsers_understand_it(
        self, server: Server, client: httpx.Client
    ) -> None:
        client.put(f"{server.native}/ünï/a", content=b"x")
        got = client.get(f"{server.native}/ünï/", params={"archive": "zip"})
        expected = "attachment; filename=\"_n_.zip\"; filename*=UTF-8''%C3%BCn%C3%AF.zip"
        assert got.headers["content-disposition"] == expected

    def test_a_range_of_it_is_never_given(self, small: str, client: httpx.Client) -> None:
        got = client.get(small, params={"archive": "zip"}, headers={"Range": "bytes=0-3"})
        assert got.status_code == 200
        assert unpacked("zip", got.content) == {"a": b"data"}


class TestWhatIsAskedFor:
    @pytest.mark.parametrize(
        ("accept", "kind"),
        [
            ("application/zip", "application/zip"),
            ("APPLICATION/X-TAR", "application/x-tar"),
            ("application/zip;q=0.5, application/x-tar;q=0.7", "application/x-tar"),
            ("application/zip, */*;q=0.1", "application/zip"),
            ("application/json;q=0.2, application/zip;q=0.3", "application/zip"),
            ("*/*", "application/json"),
            ("application/*", "application/json"),
            ("application/zip, application/json", "application/json"),
            ("application/zip;q=0", "application/json"),
            ("application/zip;q=2", "application/json"),
            ("application/zip;q=x, text/html", "application/json"),
            ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
            ("application/zipper, ;, ,q=1", "application/json"),
            ("", "application/json"),
        ],
    )
    def test_accept_gets_an_archive_where_it_prefers_one(
        self, small: str, client: httpx.Client, accept: str, kind: str
    ) -> None:
        got = client.get(small, headers={"Accept": accept})
        assert got.status_code == 200
        assert (got.headers["content-type"], got.headers["vary"]) == (kind, "Accept")

    def test_the_query_wins(self, small: str, client: httpx.Client) -> None:
        got = client.get(small, params={"archive": "tar"}, headers={"Accept": "application/zip"})
        assert got.headers["content-type"] == "application/x-tar"

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ("archive=rar", "known are tar and zip"),
            ("archive=", "known are tar and zip"),
            ("archive=ZIP", "known are tar and zip"),
            ("archive=zip&archive=tar", "2 times"),
            ("archive=%ff", "not valid UTF-8"),
            ("archive=zip&recursive=true", "no recursive"),
            ("archive=tar&max_results=1", "no max_results"),
            ("archive=tar&page_token=", "no page_token"),
            ("archive=tar&actions=true", "no actions"),
        ],
    )
    def test_what_makes_no_sense_is_refused(
        self, small: str, client: httpx.Client, query: str, said: str
    ) -> None:
        for method in ("GET", "HEAD"):
            refused = client.request(method, f"{small}?{query}")
            assert refused.status_code == 400
        refused = client.get(f"{small}?{query}")
        assert told(refused) == INVALID
        assert said in refused.json()["message"]

    def test_http_1_0_cannot_tell_a_cut_and_gets_none(self, server: Server, small: str) -> None:
        request = b"GET /v1/artifacts/small/?archive=tar HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"
        answer = exchange(server.url, request)
        assert answer.status == 400
        assert b"HTTP/1.1 only" in answer.body

    def test_nothing_is_no_archive(self, server: Server, small: str, client: httpx.Client) -> None:
        for directory in ("nowhere/", "small/a/"):
            missing = client.get(f"{server.native}/{directory}", params={"archive": "zip"})
            assert told(missing) == MISSING


GRANTS: dict[str, tuple[list[str], list[str]]] = {
    "all": (["all:"], []),
    "kept": (["read,list:d/"], ["all:d/secret/"]),
    "blind": (["list:"], []),
    "mute": (["read:"], []),
    "half": (["list:d/", "read:d/open/"], []),
    "other": (["read,list:e/"], []),
    "lost": (["read,list:"], ["read:d/a", "read:d/open/", "list:d/secret/"]),
}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """A server, and tokens by the names of GRANTS."""
    made = {name: token_stanza(name, *allow, deny=deny) for name, (allow, deny) in GRANTS.items()}
    with guarded(tmp_path_factory.mktemp("known"), *(stanza for _, stanza in made.values())) as server:
        for name in ("d/a", "d/open/b", "d/secret/c", "e/x"):
            (server.root / name).parent.mkdir(parents=True, exist_ok=True)
            (server.root / name).write_bytes(b"data")
        yield server, {name: token for name, (token, _) in made.items()}


class TestPermissions:
    @pytest.mark.parametrize(
        ("name", "members"),
        [
            ("all", ["a", "open/b", "secret/c"]),
            ("kept", ["a", "open/b"]),
            ("half", ["open/b"]),
            ("blind", DENIED),
            ("mute", DENIED),
            ("other", DENIED),
            ("lost", MISSING),
        ],
    )
    @formats
    def test_what_the_caller_may_not_both_list_and_read_is_left_out(
        self,
        known: tuple[Server, dict[str, str]],
        client: httpx.Client,
        name: str,
        members: list[str] | tuple[int, str],
        archive: Format,
    ) -> None:
        server, tokens = known
        got = client.get(f"{server.native}/d/", params={"archive": archive}, headers=bearer(tokens[name]))
        if isinstance(members, tuple):
            assert told(got) == members
        else:
            assert list(unpacked(archive, got.content)) == members


def test_clients_that_take_nothing_hold_no_thread(serve: Callable[..., Server], client: httpx.Client) -> None:
    server = serve("--storage-threads", "1")
    client.put(f"{server.native}/d/large", content=bytes(30_000_000)).raise_for_status()
    with ExitStack() as stack:
        for _ in range(3):
            stalled = stack.enter_context(connection(server.url))
            stalled.sendall(head("GET", "/v1/artifacts/d/?archive=zip"))
            assert stalled.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert client.get(f"{server.native}/d/").json()["entries"]
        assert client.put(f"{server.native}/d/small", content=b"x").status_code == 201
    wait_until(
        lambda: (
            'artifact_proxy_transfers_in_flight{kind="download"} 0.0'
            in client.get(f"{server.url}/metrics").text
        ),
        "the server notices that they are gone",
    )
