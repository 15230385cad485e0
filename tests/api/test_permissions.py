"""What callers may do where, over HTTP on every surface, and what they learn of the rest: nothing."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support.access import bearer, everybody_stanza, token_stanza
from tests.support.guarded import DENIED, SAME, guarded, surface, told
from tests.support.raw import exchange, head
from tests.support.server import Server

FILES = (
    *("users/alice/a", "users/alice/d/b", "users/alicex/a", "users/bob/a", "users/bob/d/b"),
    *("models/public/m", "models/secret/m", "models/z", "models/a/b/c/deep", "top"),
    *("tree/a", "tree/kept/b", "tree/sub/kept/c"),
)
GRANTS: dict[str, tuple[list[str], list[str]]] = {
    "admin": (["all:"], []),
    "alice": (["all:users/{name}/", "read,list:models/public"], []),
    "bob": (["all:users/{name}/"], ["write:users/{name}/d/"]),
    "keeper": (["all:"], ["delete:tree/sub/kept/", "delete:tree/kept", "read:models/secret"]),
    "lister": (["list:models/", "read:models/"], ["list:models/secret", "read:models/secret"]),
    "deep": (["read,list:models/a/b/c"], []),
    "reader": (["read:"], []),
    "slashed": (["all:open"], ["all:open/hidden"]),
}


@pytest.fixture(scope="module")
def tokens() -> dict[str, tuple[str, str]]:
    return {name: token_stanza(name, *allow, deny=deny) for name, (allow, deny) in GRANTS.items()}


@pytest.fixture(scope="module")
def known(tokens: dict[str, tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    stanzas = [everybody_stanza("read,list:shared/", deny=["all:shared/locked"])]
    stanzas += [stanza for _, stanza in tokens.values()]
    with guarded(tmp_path_factory.mktemp("permissions"), *stanzas) as server:
        for name in FILES:
            file = server.root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(name.encode())
        yield server


@pytest.fixture(scope="module")
def whose(tokens: dict[str, tuple[str, str]]) -> Callable[[str], dict[str, str]]:
    """The headers of a caller, by name."""
    return lambda name: bearer(tokens[name][0])


@pytest.fixture(params=["native", "mlflow", "ajax"])
def base(request: pytest.FixtureRequest, known: Server) -> str:
    return surface(known, request.param)


Whose = Callable[[str], dict[str, str]]


class TestPaths:
    @pytest.mark.parametrize(
        ("name", "method", "path", "permitted"),
        [
            ("alice", "GET", "users/alice/a", True),
            ("alice", "HEAD", "users/alice/d/b", True),
            ("alice", "GET", "users/alicex/a", False),
            ("alice", "GET", "users/alic", False),
            ("alice", "GET", "users/bob/a", False),
            ("alice", "GET", "users", False),
            ("alice", "GET", "models/public/m", True),
            ("alice", "PUT", "models/public/new", False),
            ("alice", "DELETE", "models/public/m", False),
            ("alice", "DELETE", "users", False),
            ("alice", "GET", "users%2Falice%2Fa", True),
            ("alice", "GET", "users%2Fbob%2Fa", False),
            ("alice", "GET", "users/%62ob/a", False),
            ("alice", "PUT", "users/bob/new", False),
            ("bob", "PUT", "users/bob/new", True),
            ("bob", "PUT", "users/bob/d/new", False),
            ("bob", "PUT", "users/bob/dd", True),
            ("bob", "GET", "users/bob/d/b", True),
            ("keeper", "GET", "models/secret/m", False),
            ("keeper", "PUT", "models/secret/new", True),
            ("keeper", "GET", "models/z", True),
            ("reader", "GET", "shared/locked", False),
        ],
    )
    def test_permissions_hold_by_whole_segments_and_denials_win(
        self,
        *,
        known: Server,
        base: str,
        client: httpx.Client,
        whose: Whose,
        name: str,
        method: str,
        path: str,
        permitted: bool,
    ) -> None:
        before = known.tree()
        got = client.request(method, f"{base}/{path}", headers=whose(name))
        if permitted:
            assert got.is_success, got.text
        else:
            assert got.status_code == 403
            assert method == "HEAD" or told(got) == DENIED
            assert known.tree() == before

    @pytest.mark.parametrize(
        "path", ["open%5Chidden%5Cx", "open/hidden%5Cx", "open%5Chidden", "open/hidden%255Cx"]
    )
    def test_a_backslash_opens_nothing_that_a_slash_does_not(
        self, known: Server, base: str, client: httpx.Client, whose: Whose, path: str
    ) -> None:
        for method in ("PUT", "GET", "DELETE"):
            got = client.request(method, f"{base}/{path}", content=b"x", headers=whose("slashed"))
            assert told(got) == DENIED
        assert not (known.root / "open").exists()

    def test_nor_does_a_path_that_is_allowed_only_when_it_is_decoded_again(
        self, known: Server, base: str, client: httpx.Client, whose: Whose
    ) -> None:
        for path in ("users%5Calice%5Cx", "users%252Falice%252Fx", "users/alice%252F..%252Fbob/a"):
            got = client.put(f"{base}/{path}", content=b"x", headers=whose("alice"))
            assert got.status_code in {400, 403}, path
        assert not [name for name in known.tree() if name.endswith("x")]

    def test_a_path_that_leaves_its_place_is_refused_before_anybody_is_asked(
        self, known: Server, whose: Whose
    ) -> None:
        for target in ("users/alice/../bob/a", "users/alice/%2e%2e/bob/a", "users/alice/..%2Fbob/a"):
            got = exchange(
                known.url,
                head("GET", f"/v1/artifacts/{target}", f"Authorization: {whose('alice')['Authorization']}"),
            )
            assert got.status == 400, target


class TestWhatIsHidden:
    """Who may not see a place cannot tell what is there."""

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
    def test_answers_do_not_tell_what_exists(
        self, known: Server, base: str, client: httpx.Client, whose: Whose, method: str
    ) -> None:
        before = known.tree()
        answered = set()
        for path in ("users/bob/a", "users/bob/d", "users/bob/x", "users/bob/a/x", "users/bob/d/b"):
            for extra in ({}, {"If-Match": "*"}, {"If-None-Match": "*"}, {"Range": "bytes=9999-"}):
                got = client.request(method, f"{base}/{path}", headers=whose("alice") | SAME | extra)
                shown = got.text.replace(path, "...")
                answered.add((got.status_code, shown, frozenset(got.headers) - {"content-length"}))
        assert [status for status, _, _ in answered] == [403]
        assert known.tree() == before

    def test_nor_do_listings(self, known: Server, client: httpx.Client, whose: Whose) -> None:
        answered = set()
        for directory in ("users/bob", "users/bob/d", "users/bob/a", "users/none", "none"):
            for target in (
                f"{known.native}/{directory}/",
                f"{known.native}/{directory}/?recursive=true",
                f"{known.mlflow}/artifacts?path={directory}",
            ):
                got = client.get(target, headers=whose("alice") | SAME)
                answered.add((got.status_code, got.text.replace(f"'{directory}'", "...")))
        assert len(answered) == 1
        assert told(got) == DENIED


def listed(
    client: httpx.Client, url: str, headers: dict[str, str], **parameters: str | int
) -> list[str] | tuple[int, str | None]:
    """The paths that a native listing has, all pages of it; else what is said instead."""
    found: list[str] = []
    while True:
        got = client.get(url, headers=headers, params=parameters)
        if got.is_error:
            return told(got)
        found += [entry["path"] for entry in got.json()["entries"]]
        if not got.json()["next_page_token"]:
            return found
        parameters["page_token"] = got.json()["next_page_token"]


class TestListings:
    @pytest.mark.parametrize(
        ("name", "directory", "seen"),
        [
            ("alice", "", ["models", "users"]),
            ("alice", "users/", ["users/alice"]),
            ("alice", "models/", ["models/public"]),
            ("alice", "models/public/", ["models/public/m"]),
            ("alice", "users/alice/", ["users/alice/a", "users/alice/d"]),
            ("alice", "users/bob/", DENIED),
            ("lister", "models/", ["models/a", "models/public", "models/z"]),
            ("lister", "models/secret/", DENIED),
            ("lister", "", ["models"]),
            ("deep", "", ["models"]),
            ("deep", "models/", ["models/a"]),
            ("deep", "models/a/b/", ["models/a/b/c"]),
            ("deep", "users/", DENIED),
            ("reader", "models/", DENIED),
        ],
    )
    def test_a_directory_shows_what_the_caller_may_see_and_what_leads_there(
        self, known: Server, client: httpx.Client, whose: Whose, name: str, directory: str, seen: object
    ) -> None:
        assert listed(client, f"{known.native}/{directory}", whose(name)) == seen
        assert listed(client, f"{known.native}/{directory}", whose(name), max_results=1) == seen
        for api in ("api", "ajax-api"):
            url = f"{known.url}/{api}/2.0/mlflow-artifacts/artifacts"
            got = client.get(url, params={"path": directory.rstrip("/")}, headers=whose(name))
            if isinstance(seen, list):
                assert [file["path"] for file in got.json()["files"]] == [
                    each.split("/")[-1] for each in seen
                ]
            else:
                assert told(got) == seen

    @pytest.mark.parametrize("max_results", [1, 2, 1000])
    def test_all_that_is_below_takes_the_permission_for_the_directory_itself(
        self, known: Server, client: httpx.Client, whose: Whose, max_results: int
    ) -> None:
        def below(name: str, directory: str) -> object:
            url = f"{known.native}/{directory}"
            return listed(client, url, whose(name), recursive="true", max_results=max_results)

        assert below("lister", "models/") == ["models/a/b/c/deep", "models/public/m", "models/z"]
        assert below("alice", "users/alice/") == ["users/alice/a", "users/alice/d/b"]
        for name, directory in (("alice", ""), ("alice", "users/"), ("deep", "models/"), ("lister", "")):
            assert below(name, directory) == DENIED

    def test_a_page_token_into_a_hidden_place_shows_nothing_of_it(
        self, known: Server, client: httpx.Client, whose: Whose
    ) -> None:
        for last in ("secret", "secret/m", "secret/l", "secret/a"):
            token = urlsafe_b64encode(last.encode()).decode()
            for recursive in ("false", "true"):
                found = listed(
                    client, f"{known.native}/models/", whose("lister"), page_token=token, recursive=recursive
                )
                assert found == ["models/z"]

    def test_a_page_ends_where_nothing_more_is_to_be_seen(
        self, known: Server, client: httpx.Client, whose: Whose
    ) -> None:
        got = client.get(f"{known.native}/users/", headers=whose("alice"), params={"max_results": 1})
        assert got.json()["next_page_token"] is None
        for hidden in ("bob", "alicex", "secret"):
            assert hidden not in got.text


class TestDeletion:
    def test_a_tree_with_a_part_that_may_not_be_deleted_stays_whole(
        self, known: Server, base: str, client: httpx.Client, whose: Whose
    ) -> None:
        before = known.tree()
        for directory in ("tree", "tree/", "tree/sub", "tree/kept", "tree/kept/b", "tree/sub/kept"):
            assert told(client.delete(f"{base}/{directory}", headers=whose("keeper"))) == DENIED
        assert known.tree() == before

    def test_one_without_such_a_part_goes(
        self, known: Server, base: str, client: httpx.Client, whose: Whose, folder: str
    ) -> None:
        for name in ("free/a", "kept"):
            client.put(f"{base}/{folder}/{name}", content=b"x", headers=whose("keeper")).raise_for_status()
        assert client.delete(f"{base}/{folder}", headers=whose("keeper")).is_success
        assert not (known.root / folder).exists()

    def test_whether_it_is_there_makes_no_difference(
        self, known: Server, client: httpx.Client, whose: Whose
    ) -> None:
        """A tree is refused for what could be in it, so nobody learns what is."""
        for name in ("slashed", "bob"):
            for path in ("open/hidden", "open/hidden/x"):
                assert told(client.delete(f"{known.native}/{path}", headers=whose(name))) == DENIED
        assert told(client.delete(f"{known.native}/open", headers=whose("slashed"))) == DENIED
