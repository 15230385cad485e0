"""The exit statuses by which scripts know what has happened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from artifact_proxy import ArtifactIsDirectory, Client, InvalidPath
from tests.support.access import token_stanza
from tests.support.client_command import DONE, Ended, Run
from tests.support.guarded import guarded
from tests.support.interposer import Interposer
from tests.support.interposer_actions import answer
from tests.support.ports import free_ports


class TestStatus:
    def test_of_wrong_words_is_2(self, run: Run) -> None:
        for words in (["put", "a"], ["ls", "--none"], ["ls", "a", "b"], ["get"]):
            ended = run(*words)
            assert (ended.status, ended.out) == (2, "")
            assert "usage: artifact-proxy" in ended.err
        for option, value in [("--jobs", "0"), ("--jobs", "x"), ("--retries", "-1"), ("--timeout", "0")]:
            ended = run("ls", option, value)
            assert ended.status == 2
            assert f"{value!r}" in ended.err
        assert run("ls", "a/../b") == Ended(
            2, "", "artifact-proxy: Invalid artifact path 'a/../b': it has an empty segment, '.' or '..'.\n"
        )

    def test_without_a_server_is_2(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("ARTIFACT_PROXY_SERVER")
        ended = run("ls")
        assert (ended.status, ended.err.count("\n")) == (2, 1)
        assert "ARTIFACT_PROXY_SERVER" in ended.err

    def test_without_permission_is_4(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        token, stanza = token_stanza("reader", "read,list:")
        with guarded(tmp_path, stanza) as server:
            assert run("ls", "--server", server.url).status == 4
            monkeypatch.setenv("ARTIFACT_PROXY_TOKEN", token)
            assert run("ls", "--server", server.url) == DONE
            ended = run("rm", "-rf", "a", "--server", server.url)
        assert ended.status == 4
        assert "You may not delete 'a'" in ended.err

    @pytest.mark.parametrize("path", ["a\tb", ".artifact-proxy-x", "x" * 300, "..%2f", "C:/a"])
    def test_of_a_path_that_the_server_refuses_is_2(self, run: Run, place: Path, path: str) -> None:
        (place / "a.bin").touch()
        for words in (["stat", path], ["cat", path], ["rm", path], ["get", path], ["put", "a.bin", path]):
            ended = run(*words)
            assert (ended.status, ended.out) == (2, "")
            assert "Invalid artifact path" in ended.err

    def test_of_a_directory_in_the_place_of_an_artifact_is_5(
        self, run: Run, remote: Client, place: Path, folder: str
    ) -> None:
        (place / "a.bin").touch()
        remote.put_bytes(b"x", f"{folder}/a")
        reading = (["cat", folder], ["cat", "/"], ["get", folder])
        for words in (*reading, ["rm", folder], ["put", "a.bin", folder]):
            ended = run(*words)
            assert (ended.status, ended.out) == (5, "")
            assert "directory" in ended.err
        assert remote.read(f"{folder}/a") == b"x"

    def test_is_told_to_programs_by_the_class_of_the_error(self, remote: Client, folder: str) -> None:
        remote.put_bytes(b"x", f"{folder}/a")
        asking: list[Callable[[str], object]] = [
            remote.read, remote.get, remote.open, remote.digest,
            lambda path: list(remote.stream(path)), remote.remove,
        ]  # fmt: skip
        for ask in asking:
            with pytest.raises(ArtifactIsDirectory):
                ask(folder)
            with pytest.raises(InvalidPath):
                ask("a\tb")
        for ask in (*asking[:5], lambda path: remote.put_bytes(b"x", path)):
            with pytest.raises(ArtifactIsDirectory):
                ask("/")
        for path in ("The artifact path 'a' is a directory; \t", "The a digest of the received body \t"):
            with pytest.raises(InvalidPath):
                remote.stat(path)

    def test_of_a_conflict_is_5(self, run: Run, remote: Client, place: Path, folder: str) -> None:
        (place / "a.bin").touch()
        remote.put_bytes(b"x", f"{folder}/a")
        assert run("put", "a.bin", f"{folder}/a/b").status == 5

    def test_without_a_server_that_answers_is_6(self, run: Run, front: Interposer) -> None:
        (port,) = free_ports(1)
        ended = run("ls", "--server", f"http://127.0.0.1:{port}", "--retries", 1)
        assert (ended.status, ended.err.count("\n")) == (6, 2)
        assert "Trying again" in ended.err
        assert run("ls", "-q", "--server", f"http://127.0.0.1:{port}", "--retries", 1).err.count("\n") == 1
        front.on(lambda request: True, answer(503, headers={"Retry-After": "0"}), times=None)
        assert run("ls", "--server", front.url, "--retries", 1).status == 6
        front.forget_rules()
