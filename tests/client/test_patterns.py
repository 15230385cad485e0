"""Patterns in paths: what they match, by which listings, and what a word without a match means."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from artifact_proxy import Client
from artifact_proxy.command.patterns import expanded
from tests.client.answering import Answer, answering
from tests.support.access import token_stanza
from tests.support.client_command import DONE, Run
from tests.support.guarded import guarded
from tests.support.interposer import Interposer

NAMES = ["a", "a.txt", "b.txt", "d/a.txt", "d/e/a.txt", "d/e/f/b.txt", "x[1]", "z/.hidden", "z/d"]


@pytest.fixture
def directory(remote: Client, folder: str) -> str:
    for name in NAMES:
        remote.put_bytes(b"x", f"{folder}/{name}")
    return folder


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("*", ["a", "a.txt", "b.txt", "d", "x[1]", "z"]),
        ("*.txt", ["a.txt", "b.txt"]),
        ("?", ["a", "d", "z"]),
        ("[ab].txt", ["a.txt", "b.txt"]),
        ("[!a].txt", ["b.txt"]),
        ("*/a.txt", ["d/a.txt"]),
        ("*/d", ["z/d"]),
        ("d/*/f/*", ["d/e/f/b.txt"]),
        ("z/*", ["z/.hidden", "z/d"]),
        ("**", NAMES),
        ("**/a.txt", ["a.txt", "d/a.txt", "d/e/a.txt"]),
        ("d/**/*.txt", ["d/a.txt", "d/e/a.txt", "d/e/f/b.txt"]),
        ("d/**/f/*", ["d/e/f/b.txt"]),
        ("**/e/**", ["d/e/a.txt", "d/e/f/b.txt"]),
        ("*/e/**", ["d/e/a.txt", "d/e/f/b.txt"]),
        ("x[1]", ["x[1]"]),
        ("x[1]*", ["x[1]*"]),
        ("A*", ["A*"]),
        ("none/*", ["none/*"]),
        ("d/e", ["d/e"]),
    ],
)
def test_it_matches_names_between_slashes(
    remote: Client, directory: str, pattern: str, matches: list[str]
) -> None:
    found = expanded(remote, f"{directory}/{pattern}")
    assert [each.path.removeprefix(f"{directory}/") for each in found] == matches


def test_what_is_kept_of_a_path_begins_with_the_pattern(remote: Client, directory: str) -> None:
    assert [each.below for each in expanded(remote, f"{directory}/d/*/*")] == ["e/a.txt", "e/f"]
    assert [each.below for each in expanded(remote, f"{directory}/d/**/b.txt")] == ["e/f/b.txt"]
    assert [each.below for each in expanded(remote, f"{directory}/d/a.txt")] == ["a.txt"]
    assert [each.below for each in expanded(remote, f"{directory}/")] == [directory]


def test_only_what_can_match_is_listed(front: Interposer, through: Client, directory: str) -> None:
    assert len(expanded(through, f"{directory}/d/*/f/*.txt")) == 1
    first, second, *others = front.requests()
    assert (first.method, second.method) == ("HEAD", "GET")  # whether that is there as it stands
    listed = [request.path.removeprefix(f"/v1/artifacts/{directory}/") for request in others]
    assert listed == ["d/", "d/e/f/"]


def test_directories_that_match_are_listed_where_that_is_wanted(run: Run, directory: str) -> None:
    assert run("ls", f"{directory}/[dz]*").out == f"{directory}/d/\n{directory}/z/\n"
    names = [f"{directory}/{name}\n" for name in NAMES]
    assert run("ls", "-r", f"{directory}/*").out == "".join(names)
    assert run("ls", "-r", f"{directory}/[az]*").out == "".join(names[:2] + names[-2:])


class TestLiterally:
    """What is there with wildcards in its name."""

    @pytest.fixture
    def odd(self, remote: Client, folder: str) -> str:
        for name in ("a*b", "axb", "a[1].txt", "a1.txt", "d[1]/x", "d1/x", "q?", "qq"):
            remote.put_bytes(name.encode(), f"{folder}/{name}")
        return folder

    def left(self, remote: Client, folder: str) -> set[str]:
        return {entry.path.removeprefix(f"{folder}/") for entry in remote.list(folder, recursive=True)}

    def test_what_is_encoded_in_a_url_is_no_wildcard(self, run: Run, remote: Client, odd: str) -> None:
        before = self.left(remote, odd)
        url = remote.url(odd)
        assert run("cat", f"{url}/a%2Ab", f"{url}/q%3F").out == "a*bq?"
        assert run("rm", f"{url}/a%2Ab") == DONE
        assert run("rm", f"{url}/a%2Ab").status == 3
        assert self.left(remote, odd) == before - {"a*b"}
        assert run("ls", f"{url}/%61%5B*").out == f"{odd}/a[1].txt\n"
        assert run("ls", f"{url}/%5ba%5d*").status == 3
        assert run("ls", f"{url}/[%61]1*").out == f"{odd}/a1.txt\n"
        assert run("ls", f"{url}/d%5B1%5D/*").out == f"{odd}/d[1]/x\n"

    def test_a_path_that_is_there_is_no_pattern(
        self, run: Run, remote: Client, odd: str, place: Path
    ) -> None:
        before = self.left(remote, odd)
        assert run("cat", f"{odd}/a[1].txt").out == "a[1].txt"
        assert run("stat", f"{odd}/a*b").out.startswith(f"path      {odd}/a*b\n")
        assert run("url", f"{odd}/a[1].txt").out == f"{remote.url(f'{odd}/a[1].txt')}\n"
        assert run("ls", f"{odd}/d[1]").out == "x\n"
        assert run("get", f"{odd}/a[1].txt", "copy") == DONE
        assert (place / "copy").read_bytes() == b"a[1].txt"
        assert run("get", "-r", f"{odd}/d[1]", "folder") == DONE
        assert (place / "folder" / "x").read_bytes() == b"d[1]/x"
        assert run("get", f"{odd}/q?", "-").out == "q?"
        assert run("rm", f"{odd}/a[1].txt", f"{odd}/a*b", f"{odd}/q?") == DONE
        assert run("rm", "-r", f"{odd}/d[1]") == DONE
        assert self.left(remote, odd) == before - {"a[1].txt", "a*b", "q?", "d[1]/x"}

    def test_a_wildcard_in_brackets_stands_for_itself(self, run: Run, odd: str) -> None:
        assert run("ls", f"{odd}/a[*]?").out == f"{odd}/a*b\n"
        assert run("ls", f"{odd}/[q][?]").out == f"{odd}/q?\n"
        assert run("ls", f"{odd}/?[[]1].txt").out == f"{odd}/a[1].txt\n"

    def test_what_a_tracking_server_tells_is_no_pattern(
        self, run: Run, remote: Client, odd: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = {"run": {"info": {"artifact_uri": remote.url(f"{odd}/d[1]").replace("%5B1%5D", "[1]")}}}
        with answering(Answer(json.dumps(told).encode())) as url:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
            assert run("ls", "runs:/1/*").out == f"{odd}/d[1]/x\n"
            assert run("ls", "runs:/1").out == "x\n"
            assert run("rm", "-r", "runs:/1") == DONE
        assert {"d1/x"} == {name for name in self.left(remote, odd) if name.startswith("d")}

    def test_whoever_may_not_look_there_may_still_list(self, tmp_path: Path) -> None:
        token, stanza = token_stanza("lister", "list:")
        with guarded(tmp_path, stanza) as server, Client(server.url, token) as client:
            (server.root / "d").mkdir(parents=True)
            (server.root / "d" / "a").touch()
            assert [each.path for each in expanded(client, "d/*")] == ["d/a"]
