"""Listings that tell what the caller may do with each entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from app.api.access import Access
from app.api.visit import begin
from app.errors import NotPermitted
from app.identity.base import Identity
from app.identity.permissions import Action, Grant, Permissions
from app.paths import ArtifactPath
from app.storage.entry import Entry
from tests.support.access import bearer, token_stanza
from tests.support.guarded import guarded, told
from tests.support.server import Server

ALL = ["read", "list", "write", "delete"]
GRANTS: dict[str, tuple[list[str], list[str]]] = {
    "admin": (["all:"], []),
    "alice": (["read,list:", "all:users/{name}/"], []),
    "keeper": (["all:"], ["delete:models/kept/", "read:models/secret"]),
    "lister": (["list:"], []),
    "deep": (["read,list:models/kept/x"], []),
    "writer": (["list:", "write:models/a"], []),
}
FILES = ("top", "models/a", "models/kept/x", "models/secret", "users/alice/mine", "users/bob/his")


@pytest.fixture(scope="module")
def tokens() -> dict[str, tuple[str, str]]:
    return {name: token_stanza(name, *allow, deny=deny) for name, (allow, deny) in GRANTS.items()}


@pytest.fixture(scope="module")
def known(tokens: dict[str, tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with guarded(tmp_path_factory.mktemp("actions"), *(stanza for _, stanza in tokens.values())) as server:
        for name in FILES:
            file = server.root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"data")
        yield server


List = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def listed(known: Server, client: httpx.Client, tokens: dict[str, tuple[str, str]]) -> List:
    def ask(name: str, directory: str = "", **query: str) -> dict[str, Any]:
        answer = client.get(f"{known.native}/{directory}", params=query, headers=bearer(tokens[name][0]))
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    return ask


def actions(listing: dict[str, Any]) -> dict[str, list[str]]:
    """By the path of the entry; the listing's own under its directory, with a slash."""
    return {f"{listing['path']}/": listing["actions"]} | {
        entry["path"] + "/" * entry["is_dir"]: entry["actions"] for entry in listing["entries"]
    }


@pytest.mark.parametrize(
    ("name", "directory", "told_of"),
    [
        (
            "admin",
            "",
            {
                "/": ["read", "list", "write"],
                "models/": ALL,
                "top": ["read", "write", "delete"],
                "users/": ALL,
            },
        ),
        (
            "alice",
            "",
            {
                "/": ["read", "list", "write"],
                "models/": ["read", "list"],
                "top": ["read"],
                "users/": ["read", "list", "write"],
            },
        ),
        (
            "alice",
            "users/",
            {"users/": ["read", "list", "write"], "users/alice/": ALL, "users/bob/": ["read", "list"]},
        ),
        (
            "keeper",
            "models/",
            {
                "models/": ["read", "list", "write"],
                "models/a": ["read", "write", "delete"],
                "models/kept/": ["read", "list", "write"],
                "models/secret": ["write", "delete"],
            },
        ),
        ("lister", "", {"/": ["list"], "models/": ["list"], "top": [], "users/": ["list"]}),
        ("deep", "", {"/": ["read", "list"], "models/": ["read", "list"]}),
        (
            "writer",
            "models/",
            {
                "models/": ["list", "write"],
                "models/a": ["write"],
                "models/kept/": ["list"],
                "models/secret": [],
            },
        ),
    ],
)
def test_each_entry_tells_what_the_caller_may_do_there_or_below(
    listed: List, name: str, directory: str, told_of: dict[str, list[str]]
) -> None:
    assert actions(listed(name, directory, actions="true")) == told_of


def test_recursive_ones_and_pages_tell_it_too(listed: List) -> None:
    whole = actions(listed("alice", "users/", actions="true", recursive="true"))
    assert whole == {
        "users/": ["read", "list", "write"],
        "users/alice/mine": ["read", "write", "delete"],
        "users/bob/his": ["read"],
    }
    first = listed("alice", "users/", actions="true", recursive="true", max_results="1")
    query = {"actions": "true", "recursive": "true", "page_token": first["next_page_token"]}
    assert actions(first) | actions(listed("alice", "users/", **query)) == whole


def test_an_empty_directory_tells_what_may_be_done_in_it(listed: List) -> None:
    assert actions(listed("alice", "users/alice/new/", actions="true")) == {"users/alice/new/": ALL}


@pytest.mark.parametrize("query", [{}, {"actions": "false"}])
def test_it_is_told_only_where_it_is_asked_for(listed: List, query: dict[str, str]) -> None:
    listing = listed("admin", **query)
    assert list(listing) == ["path", "entries", "next_page_token"]
    for entry in listing["entries"]:
        assert list(entry) == ["name", "path", "is_dir", "size", "modified", "etag"]


@pytest.mark.parametrize("query", ["actions=yes", "actions=", "actions=true&actions=true"])
def test_other_wishes_are_refused(
    known: Server, client: httpx.Client, tokens: dict[str, tuple[str, str]], query: str
) -> None:
    answer = client.get(f"{known.native}/?{query}", headers=bearer(tokens["admin"][0]))
    assert told(answer) == (400, "INVALID_PARAMETER_VALUE")


def test_where_nobody_is_asked_everything_is_permitted(server: Server, client: httpx.Client) -> None:
    listing = client.get(f"{server.native}/nothing/here/?actions=true").json()
    assert actions(listing) == {"nothing/here/": ALL}


class TestDecisions:
    """What is told is what is permitted."""

    def asked_by(self, name: str) -> Request:
        request = Request({"type": "http", "headers": []})
        allow, deny = (tuple(map(Grant.parse, texts)) for texts in GRANTS[name])
        permissions = Permissions.filled(allow, deny, lambda placeholder: (name,))
        begin(request.scope, None).identity = Identity("token", name, permissions)
        return request

    @pytest.mark.parametrize("name", GRANTS)
    @pytest.mark.parametrize("modes", [(), ("no_delete",), ("read_only",), ("read_only", "no_delete")])
    def test_an_action_is_told_just_where_the_request_for_it_is_granted(
        self, name: str, modes: tuple[str, ...]
    ) -> None:
        access = Access(read_only="read_only" in modes, no_delete="no_delete" in modes)
        request = self.asked_by(name)

        def granted(action: Action, entry: Entry) -> bool:
            anywhere = entry.is_dir and action is not Action.DELETE
            try:
                (access.require_some if anywhere else access.require)(request, action, entry.path)
            except NotPermitted:
                return False
            return True

        directories = {"models", "models/kept", "users", "users/alice", "users/bob"}
        for path in {*FILES, *directories}:
            entry = Entry(ArtifactPath.parse(path), is_dir=path in directories)
            wanted = [each for each in Action if entry.is_dir or each is not Action.LIST]
            assert list(access.actions(request, entry)) == [each for each in wanted if granted(each, entry)]

    def test_nobody_may_delete_the_root(self) -> None:
        access = Access(read_only=False, no_delete=False)
        told_of = access.actions(self.asked_by("admin"), Entry(ArtifactPath(), is_dir=True))
        assert told_of == (Action.READ, Action.LIST, Action.WRITE)

    def test_to_be_told_is_no_decision(self) -> None:
        """Which the audit log would have."""
        request = self.asked_by("admin")
        visit = begin(request.scope, None)
        visit.identity = Identity("token", "x", Permissions())
        Access(read_only=True, no_delete=False).actions(request, Entry(ArtifactPath.parse("a")))
        assert (visit.action, visit.path) == (None, None)
