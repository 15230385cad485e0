"""The words of a command line: what they mean, and what is said of those that mean nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.__main__ import CLIENT_COMMANDS
from artifact_proxy import Client
from tests.support.client_command import DONE, Run
from tests.support.patched import ROOT
from tests.support.server import clean_environment


def started(*words: str) -> subprocess.CompletedProcess[str]:
    """What becomes of the words after `artifact-proxy`, whoever takes them."""
    return subprocess.run(
        [sys.executable, "-m", "app", *words],
        env=clean_environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


class TestDashes:
    def test_before_names_that_begin_with_one_there_may_be_two(
        self, run: Run, remote: Client, folder: str, place: Path
    ) -> None:
        (place / "-a").write_bytes(b"1")
        (place / "--json").write_bytes(b"2")
        assert run("put", "-q", "--", "-a", "--json", f"{folder}/") == DONE
        assert run("put", "-q", "--", "-a", f"{folder}/-") == DONE
        assert [entry.name for entry in remote.list(folder)] == ["-", "--json", "-a"]
        assert run("get", f"{folder}/-a", "-q", "--", "-b") == DONE
        assert (place / "-b").read_bytes() == b"1"
        for name, content in [("-a", b"1"), ("-r", b"3"), ("--", b"4")]:
            remote.put_bytes(content, name)
            assert run("cat", "--", name).out == content.decode()
            assert run("ls", "--", name).out == f"{name}\n"
            assert run("rm", "-f", "--", name) == DONE

    def test_what_is_too_much_is_said(self, run: Run) -> None:
        ended = run("ls", "--", "-a", "-b")
        assert ended.status == 2
        assert "-b" in ended.err


class TestNumbers:
    @pytest.mark.parametrize(
        ("option", "value", "says"),
        [
            ("-j", "0", "'0' is no number of transfers at once; give 1 or more."),
            ("--jobs", "x", "'x' is no number of transfers at once; give 1 or more."),
            ("--retries", "-1", "'-1' is no number of attempts; give 0 or more."),
            ("--retries", "1.5", "'1.5' is no number of attempts; give 0 or more."),
            ("--timeout", "0", "'0' is no number of seconds; give more than 0"),
            ("--timeout", "nan", "'nan' is no number of seconds; give more than 0"),
        ],
    )
    def test_that_cannot_be_are_said(self, run: Run, option: str, value: str, says: str) -> None:
        ended = run("ls", option, value)
        assert ended.status == 2
        assert says in ended.err
        assert "invalid" not in ended.err

    def test_that_can_be_are_taken(self, run: Run) -> None:
        assert run("ls", "-j", "1", "--retries", "0", "--timeout", "0.5e1", "-q", "none").status == 3


class TestCommands:
    @pytest.mark.parametrize(
        ("word", "meant"),
        [
            ("list", "ls"),
            ("upload", "put"),
            ("download", "get"),
            ("delete", "rm"),
            ("lss", "ls"),
            ("complete", "completion"),
            ("serv", "serve"),
            ("xyzzy", None),
        ],
    )
    def test_that_there_are_none_of_are_said_with_those_that_there_are(
        self, word: str, meant: str | None
    ) -> None:
        ended = started(word, "a")
        assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
        assert ended.stderr.startswith(f"artifact-proxy: There is no command {word!r}.")
        assert ended.stderr.count("Did you mean") == (meant is not None)
        assert meant is None or f"Did you mean {meant!r}?" in ended.stderr
        assert all(f" {name}" in ended.stderr for name in CLIENT_COMMANDS)

    @pytest.mark.parametrize("words", [["--server", "x", "ls"], ["--server=x", "ls"], ["-q", "ls"]])
    def test_come_before_their_options(self, words: list[str]) -> None:
        ended = started(*words)
        assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
        assert f"artifact-proxy ls {words[0]}" in ended.stderr

    def test_of_the_server_are_still_its_own(self) -> None:
        assert "default_artifact_root" in started("config").stdout
        assert "unrecognized arguments: --none" in started("--none").stderr


class TestSchemes:
    @pytest.mark.parametrize("uri", ["s3://bucket/a", "gs://b/a", "file:///a", "ftp://host/a"])
    def test_of_somebody_else_are_named_with_those_that_are_taken(self, run: Run, uri: str) -> None:
        for words in (["ls", uri], ["put", __file__, uri], ["get", uri]):
            ended = run(*words)
            assert (ended.status, ended.out) == (2, "")
            scheme = uri.partition(":")[0]
            assert f"{uri!r} has the scheme {scheme!r}, which is of no artifact-proxy" in ended.err
            assert "give a path, or a URI of http, https, mlflow-artifacts, runs or models." in ended.err

    def test_may_be_written_in_capitals(self, run: Run, remote: Client, folder: str) -> None:
        remote.put_bytes(b"x", f"{folder}/a")
        assert run("cat", remote.url(f"{folder}/a").replace("http", "HTTP")).out == "x"


def test_that_there_is_no_presigned_url_is_said_in_words_of_the_command(
    run: Run, remote: Client, folder: str
) -> None:
    remote.put_bytes(b"x", f"{folder}/a")
    ended = run("url", "--presigned", f"{folder}/a")
    assert (ended.status, ended.out) == (1, "")
    assert "gives no presigned URLs: its storage has none, or its operator allows none" in ended.err
    assert "Multipart" not in ended.err
