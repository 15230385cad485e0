"""The commands: what they do, what they write, and the status that they end with."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from artifact_proxy import Client
from tests.support.client_command import DONE, Ended, Run
from tests.support.interposer import Interposer
from tests.support.interposer_actions import flip_request_byte
from tests.support.server import Server

CONTENT = os.urandom(300_000)


@pytest.fixture
def files(place: Path) -> Path:
    (place / "d" / "e").mkdir(parents=True)
    (place / "a.bin").write_bytes(CONTENT)
    (place / "d" / "b").write_bytes(b"1\n")
    (place / "d" / "e" / "c").write_bytes(b"2\n")
    return place


def lines(ended: Ended) -> list[Any]:
    """The JSON that a command has written, in the order of the paths."""
    assert (ended.status, ended.err) == (0, "")
    return sorted((json.loads(line) for line in ended.out.splitlines()), key=lambda told: str(told["path"]))


def paths(remote: Client, folder: str) -> list[str]:
    return [entry.path.removeprefix(f"{folder}/") for entry in remote.list(folder, recursive=True)]


class TestPut:
    @pytest.mark.parametrize(
        ("words", "stored"),
        [
            (["a.bin", "{}/x"], ["x"]),
            (["a.bin", "{}/x/"], ["x/a.bin"]),
            (["a.bin", "d/b", "{}/x"], ["x/a.bin", "x/b"]),
            (["d", "{}/x"], ["x/b", "x/e/c"]),
            (["d/", "{}/x/"], ["x/d/b", "x/d/e/c"]),
            (["d/.", "{}/x/"], ["x/b", "x/e/c"]),
            (["a.bin", "d", "/{}"], ["a.bin", "d/b", "d/e/c"]),
        ],
    )
    def test_names_what_it_stores_as_cp_does(
        self, run: Run, remote: Client, files: Path, folder: str, words: list[str], stored: list[str]
    ) -> None:
        assert run("put", *(word.format(folder) for word in words)) == DONE
        assert paths(remote, folder) == stored

    def test_tells_what_it_has_stored(self, run: Run, remote: Client, files: Path, folder: str) -> None:
        told = lines(run("put", "--json", "a.bin", "d", f"{folder}/"))
        assert [(each["source"], each["path"], each["size"]) for each in told] == [
            ("a.bin", f"{folder}/a.bin", 300_000),
            ("d/b", f"{folder}/d/b", 2),
            ("d/e/c", f"{folder}/d/e/c", 2),
        ]
        assert told[0]["etag"] == remote.stat(f"{folder}/a.bin").etag

    def test_goes_on_with_the_others_where_one_fails(
        self, run: Run, remote: Client, files: Path, folder: str
    ) -> None:
        ended = run("put", "none", "a.bin", f"{folder}/")
        assert (ended.status, ended.out) == (1, "")
        assert ended.err == "artifact-proxy: 'none' cannot be read: No such file or directory.\n"
        assert paths(remote, folder) == ["a.bin"]

    def test_replaces_nothing_where_only_creation_is_wanted(
        self, run: Run, remote: Client, files: Path, folder: str
    ) -> None:
        assert run("put", "--create-only", "d/b", f"{folder}/x") == DONE
        ended = run("put", "--create-only", "a.bin", f"{folder}/x")
        assert (ended.status, ended.err.count("\n")) == (5, 1)
        assert remote.read(f"{folder}/x") == b"1\n"

    def test_does_not_store_two_files_as_one(
        self, run: Run, remote: Client, files: Path, folder: str
    ) -> None:
        (files / "b").write_bytes(b"3\n")
        ended = run("put", "b", "d/b", f"{folder}/")
        assert (ended.status, ended.err) == (
            2,
            f"artifact-proxy: 'b' and 'd/b' would both become '{folder}/b'.\n",
        )
        assert paths(remote, folder) == []

    def test_needs_a_name_for_the_standard_input(self, run: Run, folder: str) -> None:
        for words in (["-", f"{folder}/"], ["-", "a", folder]):
            assert run("put", *words).status == 2

    def test_tells_of_damage(
        self, run: Run, front: Interposer, monkeypatch: pytest.MonkeyPatch, files: Path, folder: str
    ) -> None:
        front.on(lambda request: request.method == "PUT", flip_request_byte(0), times=None)
        ended = run("put", "--server", front.url, "--retries", 0, "a.bin", folder)
        front.forget_rules()
        assert (ended.status, ended.err.count("\n")) == (7, 1)


class TestGet:
    @pytest.fixture(autouse=True)
    def stored(self, remote: Client, folder: str, place: Path) -> None:
        for name in ("a.bin", "d/b", "d/e/c"):
            remote.put_bytes(name.encode(), f"{folder}/{name}")
        (place / "here").mkdir()

    @pytest.mark.parametrize(
        ("words", "written"),
        [
            (["{}/a.bin"], {"a.bin"}),
            (["{}/a.bin", "x"], {"x"}),
            (["{}/a.bin", "here"], {"here/a.bin"}),
            (["{}/a.bin", "new/"], {"new/a.bin"}),
            (["{}/a.bin", "{}/d/b", "new"], {"new/a.bin", "new/b"}),
            (["-r", "{}/d", "new"], {"new/b", "new/e/c"}),
            (["-r", "{}/d", "here"], {"here/d/b", "here/d/e/c"}),
            (["{}/d/", "."], {"d/b", "d/e/c"}),
            (["-r", "{}/a.bin", "{}/d", "new"], {"new/a.bin", "new/d/b", "new/d/e/c"}),
            (["{}/*", "-r", "new"], {"new/a.bin", "new/d/b", "new/d/e/c"}),
            (["{}/d/**", "new"], {"new/b", "new/e/c"}),
            (["--verify", "{}/**/c", "new"], {"new/d/e/c"}),
        ],
    )
    def test_names_what_it_writes_as_cp_does(
        self, run: Run, place: Path, folder: str, words: list[str], written: set[str]
    ) -> None:
        assert run("get", *(word.format(folder) for word in words)) == DONE
        found = {str(file.relative_to(place)) for file in place.rglob("*") if file.is_file()}
        assert found == written
        assert all((place / name).read_text().endswith(Path(name).name) for name in written - {"x"})

    def test_tells_what_it_has_written(self, run: Run, folder: str) -> None:
        told = lines(run("get", "--json", "-r", f"{folder}/d", "new"))
        assert [(each["path"], each["target"], each["size"]) for each in told] == [
            (f"{folder}/d/b", "new/b", 3),
            (f"{folder}/d/e/c", "new/e/c", 5),
        ]

    def test_writes_to_the_standard_output(self, run: Run, folder: str, place: Path) -> None:
        assert run("get", f"{folder}/a.bin", f"{folder}/d/b", "-") == Ended(0, "a.bind/b", "")
        assert list(place.iterdir()) == [place / "here"]

    def test_takes_directories_only_if_told_so(self, run: Run, folder: str) -> None:
        ended = run("get", f"{folder}/d")
        assert (ended.status, ended.out) == (5, "")
        assert f"'{folder}/d' is a directory; add --recursive" in ended.err

    def test_goes_on_with_the_others_where_one_fails(self, run: Run, folder: str, place: Path) -> None:
        ended = run("get", f"{folder}/none", f"{folder}/a.bin", "here")
        assert (ended.status, ended.err) == (3, f"artifact-proxy: There is no artifact '{folder}/none'.\n")
        assert (place / "here" / "a.bin").exists()

    @pytest.mark.parametrize("words", [["{}/none/", "."], ["-r", "{}/none", "."], ["{}/none*"]])
    def test_misses_what_is_not_there(self, run: Run, folder: str, words: list[str]) -> None:
        assert run("get", *(word.format(folder) for word in words)).status == 3


class TestLs:
    @pytest.fixture(autouse=True)
    def stored(self, remote: Client, folder: str) -> None:
        for name in ("a", "b/c", "b/d"):
            remote.put_bytes(b"12345", f"{folder}/{name}")

    def test_lists_names(self, run: Run, folder: str) -> None:
        assert run("ls", folder) == Ended(0, "a\nb/\n", "")
        assert run("ls", f"/{folder}/") == Ended(0, "a\nb/\n", "")
        assert run("ls", "-r", folder) == Ended(0, "a\nb/c\nb/d\n", "")
        assert f"{folder}/\n" in run("ls").out

    def test_lists_sizes_and_times(self, run: Run, remote: Client, folder: str) -> None:
        modified = remote.stat(f"{folder}/a").modified
        assert modified is not None
        time = f"{modified:%Y-%m-%d %H:%M:%SZ}"
        assert run("ls", "-l", folder).out == f"{5:14}  {time}  a\n{'-':>14}  {'':20}  b/\n"

    def test_lists_objects(self, run: Run, remote: Client, folder: str) -> None:
        first, second = lines(run("ls", "--json", folder))
        entry = remote.stat(f"{folder}/a")
        assert first == entry.as_json() | {"modified": first["modified"]}
        assert entry.modified is not None
        assert datetime.fromisoformat(first["modified"]).replace(microsecond=0) == entry.modified
        assert second == {
            "path": f"{folder}/b", "is_dir": True, "size": None, "modified": None, "etag": None,
        }  # fmt: skip

    def test_shows_a_file_and_what_matches_with_their_paths(self, run: Run, folder: str) -> None:
        assert run("ls", f"{folder}/a").out == f"{folder}/a\n"
        assert run("ls", f"{folder}/b/*").out == f"{folder}/b/c\n{folder}/b/d\n"

    def test_misses_what_is_not_there(self, run: Run, folder: str) -> None:
        assert run("ls", f"{folder}/none") == Ended(
            3, "", f"artifact-proxy: There is no artifact '{folder}/none'.\n"
        )

    def test_lists_more_than_a_page(self, run: Run, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("artifact_proxy.connection.PAGE_ENTRIES", 2)
        assert run("ls", "-r", folder).out == "a\nb/c\nb/d\n"


class TestOthers:
    @pytest.fixture(autouse=True)
    def stored(self, remote: Client, folder: str) -> None:
        for name in ("a", "d/b", "d/c"):
            remote.put_bytes(f"{name}\n".encode(), f"{folder}/{name}")

    def test_cat_writes_all_of_them(self, run: Run, folder: str) -> None:
        assert run("cat", f"{folder}/a", f"{folder}/d/*") == Ended(0, "a\nd/b\nd/c\n", "")
        ended = run("cat", f"{folder}/none", f"{folder}/d", f"{folder}/a")
        assert (ended.status, ended.out, ended.err.count("\n")) == (3, "a\n", 2)

    def test_rm_deletes_artifacts_and_directories_only_if_told_so(
        self, run: Run, remote: Client, folder: str
    ) -> None:
        assert run("rm", f"{folder}/a") == DONE
        refused = run("rm", f"{folder}/d")
        assert (refused.status, refused.err.count("\n")) == (5, 1)
        assert paths(remote, folder) == ["d/b", "d/c"]
        assert lines(run("rm", "--json", "-r", f"{folder}/d")) == [{"path": f"{folder}/d"}]
        assert paths(remote, folder) == []

    def test_rm_misses_what_is_not_there_unless_forced(self, run: Run, remote: Client, folder: str) -> None:
        assert run("rm", f"{folder}/none", f"{folder}/a").status == 3
        assert run("rm", "-f", f"{folder}/none", f"{folder}/d/b") == DONE
        assert run("rm", "-rf", f"{folder}/none", f"{folder}/d") == DONE
        assert paths(remote, folder) == []

    def test_rm_does_not_delete_the_root(self, run: Run, remote: Client, folder: str) -> None:
        for words in (["-rf", "/"], ["-r", ""], ["/"]):
            ended = run("rm", *words)
            assert (ended.status, ended.err.count("\n")) == (2, 1)
            assert "root itself is never deleted" in ended.err
        assert paths(remote, folder)

    def test_stat_tells_what_is_known(self, run: Run, remote: Client, folder: str) -> None:
        entry = remote.stat(f"{folder}/a")
        (told,) = lines(run("stat", "--json", "--digest", f"{folder}/a"))
        assert told == entry.as_json() | {
            "sha256": "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7"
        }
        text = run("stat", f"{folder}/a", f"{folder}/d").out
        assert text == (
            f"path      {folder}/a\nsize      2\nmodified  {told['modified']}\netag      {entry.etag}\n\n"
            f"path      {folder}/d\nis_dir    yes\n\n"
        )
        assert run("stat", f"{folder}/none").status == 3

    def test_url_tells_where_it_is(self, run: Run, server: Server, folder: str) -> None:
        url = f"{server.native}/{folder}/a%20b"
        assert run("url", f"{folder}/a b") == Ended(0, f"{url}\n", "")
        assert lines(run("url", "--json", f"{folder}/a b")) == [{"path": f"{folder}/a b", "url": url}]
        assert run("url", "--presigned", f"{folder}/a").status == 1


def test_what_a_terminal_would_obey_is_escaped(run: Run, front: Interposer) -> None:
    body = (
        b'{"path": "", "entries": [{"name": "x", "path": "\\u001b[2Jx\\u00fc", "is_dir": false, "size": 1, '
    )
    body += b'"modified": null, "etag": "e"}], "next_page_token": null}'
    front.on(lambda request: True, lambda exchange: exchange.send(200, body, {}))
    assert run("ls", "--server", front.url) == Ended(0, "\\x1b[2Jxü\n", "")
    message = b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "a\\u001b]0;b\\u0007\\nc"}'
    front.on(lambda request: True, lambda exchange: exchange.send(404, message, {}))
    assert run("ls", "--server", front.url) == Ended(3, "", "artifact-proxy: a\\x1b]0;b\\x07\\nc\n")
