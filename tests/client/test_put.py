"""Uploads: files, open files, folders; with their digests; never replacing what should stay."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from pathlib import Path

import pytest

from artifact_proxy import ArtifactError, Client, Conflict, DigestMismatch, InvalidPath, Unavailable
from tests.support.interposer import Interposer
from tests.support.interposer_actions import (
    answer,
    cut_after_forwarding,
    flip_request_byte,
    refuse,
)
from tests.support.interposer_exchange import Request
from tests.support.server import Server

CONTENT = os.urandom(700_000)
"""Several pieces."""


def is_put(request: Request) -> bool:
    return request.method == "PUT"


def stored(server: Server, path: str) -> bytes:
    return (server.root / path).read_bytes()


class TestFiles:
    @pytest.mark.parametrize("content", [CONTENT, b""], ids=["some", "empty"])
    def test_a_file_is_stored_as_it_is(
        self, server: Server, remote: Client, folder: str, place: Path, content: bytes
    ) -> None:
        (place / "a.bin").write_bytes(content)
        moved: list[int] = []
        entry = remote.put("a.bin", f"{folder}/sub/a b%20ü.bin", progress=moved.append)
        assert stored(server, f"{folder}/sub/a b%20ü.bin") == content
        assert (entry.path, entry.size, sum(moved)) == (f"{folder}/sub/a b%20ü.bin", *[len(content)] * 2)
        assert entry.etag == remote.stat(entry.path).etag

    def test_an_open_file_is_stored_from_where_it_stands(
        self, server: Server, remote: Client, folder: str, place: Path
    ) -> None:
        (place / "a.bin").write_bytes(CONTENT)
        with (place / "a.bin").open("rb") as file:
            file.seek(100)
            remote.put(file, f"{folder}/a")
        remote.put_bytes(CONTENT, f"{folder}/b")
        remote.put(io.BytesIO(b"memory"), f"{folder}/c")
        assert stored(server, f"{folder}/a") == CONTENT[100:]
        assert stored(server, f"{folder}/b") == CONTENT
        assert stored(server, f"{folder}/c") == b"memory"

    def test_a_file_is_sent_with_its_digest(self, front: Interposer, through: Client, folder: str) -> None:
        through.put_bytes(b"abc", f"{folder}/a")
        (request,) = front.requests()
        assert request.headers["content-length"] == "3"
        assert request.headers["repr-digest"] == "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:"

    def test_a_pipe_is_stored_once(self, server: Server, remote: Client, folder: str) -> None:
        source, sink = os.pipe()
        writer = threading.Thread(target=_fill, args=(sink,))
        writer.start()
        with open(source, "rb") as pipe:
            entry = remote.put(pipe, f"{folder}/a")
        writer.join()
        assert stored(server, f"{folder}/a") == CONTENT
        assert entry.size == len(CONTENT)

    def test_nothing_is_replaced_where_only_creation_is_wanted(
        self, server: Server, remote: Client, folder: str
    ) -> None:
        remote.put_bytes(b"first", f"{folder}/a", create_only=True)
        with pytest.raises(Conflict, match="exists") as caught:
            remote.put_bytes(b"second", f"{folder}/a", create_only=True)
        assert (caught.value.status, caught.value.code) == (412, "INVALID_STATE")
        assert stored(server, f"{folder}/a") == b"first"
        remote.put_bytes(b"third", f"{folder}/a")
        assert stored(server, f"{folder}/a") == b"third"

    def test_what_cannot_be_read_is_said(self, remote: Client, folder: str, place: Path) -> None:
        (place / "d").mkdir()
        for source, reason in [("none", "No such file"), ("d", "Is a directory")]:
            with pytest.raises(ArtifactError, match=f"'{source}' cannot be read: {reason}"):
                remote.put(source, f"{folder}/a")

    def test_an_error_carries_what_the_server_tells(self, remote: Client, folder: str) -> None:
        with pytest.raises(ArtifactError, match="belong to the server") as caught:
            remote.put_bytes(b"x", f"{folder}/.artifact-proxy-x")
        assert (caught.value.status, caught.value.code) == (400, "INVALID_PARAMETER_VALUE")
        assert caught.value.request_id


class TestFolders:
    def test_all_files_below_are_stored_but_links_and_pipes(
        self, server: Server, remote: Client, folder: str, place: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (place / "d" / "e").mkdir(parents=True)
        (place / "d" / "a").write_bytes(b"1")
        (place / "d" / "e" / "b").write_bytes(b"2")
        (place / "d" / "link").symlink_to("/etc/passwd")
        (place / "d" / "out").symlink_to("/etc")
        os.mkfifo(place / "d" / "fifo")
        entries = remote.put_folder(place / "d", f"{folder}/x")
        assert sorted(entry.path for entry in entries) == [f"{folder}/x/a", f"{folder}/x/e/b"]
        assert stored(server, f"{folder}/x/e/b") == b"2"
        warned = [record.getMessage() for record in caplog.records]
        assert len(warned) == 3
        assert "fifo' is left out, as it is no regular file." in warned[0]
        assert "link' is left out, as it is a link." in warned[1]

    def test_a_name_that_is_no_unicode_is_an_error(self, remote: Client, folder: str, place: Path) -> None:
        (place / "d").mkdir()
        (place / "d" / os.fsdecode(b"\xff")).touch()
        with pytest.raises(InvalidPath, match="not valid Unicode"):
            remote.put_folder("d", folder)

    def test_a_folder_that_cannot_be_read_is_an_error(self, remote: Client, folder: str) -> None:
        with pytest.raises(ArtifactError, match="'none' cannot be read: No such file"):
            remote.put_folder("none", folder)

    def test_the_first_error_is_raised(self, remote: Client, folder: str, place: Path) -> None:
        (place / "d").mkdir()
        for number in range(3):
            (place / "d" / f".artifact-proxy-{number}").write_bytes(b"x")
        with pytest.raises(ArtifactError, match="belong to the server"):
            remote.put_folder("d", folder)


class TestFaults:
    def test_an_upload_is_sent_again_after_what_may_pass(
        self, server: Server, front: Interposer, through: Client, folder: str
    ) -> None:
        front.on(is_put, answer(503, headers={"Retry-After": "0"}))
        front.on(is_put, refuse)
        moved: list[int] = []
        through.put(io.BytesIO(CONTENT), f"{folder}/a", progress=moved.append)
        assert [request.method for request in front.requests()] == ["PUT"] * 3
        assert stored(server, f"{folder}/a") == CONTENT
        assert sum(moved) == len(CONTENT)

    def test_the_attempts_come_to_an_end(self, front: Interposer, through: Client, folder: str) -> None:
        front.on(is_put, answer(502), times=None)
        with pytest.raises(Unavailable, match="502 Bad Gateway") as caught:
            through.put_bytes(b"x", f"{folder}/a")
        assert caught.value.status == 502
        assert len(front.requests()) == 3

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 413, 501, 507])
    def test_what_stays_is_not_tried_again(
        self, front: Interposer, through: Client, folder: str, status: int
    ) -> None:
        front.on(is_put, answer(status))
        with pytest.raises(ArtifactError):
            through.put_bytes(b"x", f"{folder}/a")
        assert len(front.requests()) == 1

    def test_what_is_damaged_on_the_way_is_sent_again(
        self, server: Server, front: Interposer, through: Client, folder: str
    ) -> None:
        front.on(is_put, flip_request_byte(500_000))
        through.put_bytes(CONTENT, f"{folder}/a")
        assert stored(server, f"{folder}/a") == CONTENT
        front.on(is_put, flip_request_byte(1), times=None)
        with pytest.raises(DigestMismatch, match="nothing was stored"):
            through.put_bytes(CONTENT, f"{folder}/b")
        assert not (server.root / folder / "b").exists()

    def test_a_lost_answer_is_no_conflict_with_oneself(
        self, front: Interposer, through: Client, folder: str
    ) -> None:
        front.on(is_put, cut_after_forwarding)
        entry = through.put_bytes(CONTENT, f"{folder}/a", create_only=True)
        assert entry.size == len(CONTENT)
        assert [request.method for request in front.requests()] == ["PUT", "PUT", "HEAD", "HEAD"]

    def test_a_lost_answer_is_a_conflict_with_somebody_else(
        self, remote: Client, front: Interposer, through: Client, folder: str
    ) -> None:
        def replaced_meanwhile(exchange: object) -> None:
            remote.put_bytes(b"another", f"{folder}/a")
            cut_after_forwarding(exchange)  # type: ignore[arg-type]  # what actions get

        front.on(is_put, replaced_meanwhile)
        with pytest.raises(Conflict):
            through.put_bytes(CONTENT, f"{folder}/a", create_only=True)
        assert remote.read(f"{folder}/a") == b"another"

    def test_a_pipe_is_not_sent_again_once_something_of_it_is_gone(
        self, front: Interposer, through: Client, folder: str
    ) -> None:
        front.on(is_put, answer(503))
        source, sink = os.pipe()
        writer = threading.Thread(target=_fill, args=(sink,))
        writer.start()
        with (
            open(source, "rb") as pipe,
            pytest.raises(Unavailable, match="cannot be read again; send it anew"),
        ):
            through.put(pipe, f"{folder}/a")
        writer.join()
        assert len(front.requests()) == 1

    def test_a_pipe_that_was_damaged_on_the_way_is_told_of(
        self, front: Interposer, through: Client, folder: str
    ) -> None:
        # Not its first bytes, which are the size of a chunk.
        front.on(is_put, flip_request_byte(1000))
        source, sink = os.pipe()
        os.write(sink, bytes(2000))
        os.close(sink)
        with (
            open(source, "rb") as pipe,
            pytest.raises(DigestMismatch, match="is not what came from") as caught,
        ):
            through.put(pipe, f"{folder}/a")
        assert hashlib.sha256(bytes(2000)).hexdigest() in str(caught.value)

    def test_a_file_that_changes_while_it_is_sent_is_an_error(
        self, server: Server, front: Interposer, through: Client, folder: str, place: Path
    ) -> None:
        file = place / "a.bin"
        for name, change in {
            "grown": lambda: file.write_bytes(bytes(900_000)),
            "cut short": lambda: os.truncate(file, 100),
        }.items():
            file.write_bytes(CONTENT)
            seen: list[int] = []

            def moved(count: int, seen: list[int] = seen, change: object = change) -> None:
                if not seen:
                    change()  # type: ignore[operator]  # it is one of those above
                seen.append(count)

            with pytest.raises(ArtifactError, match=r"'a\.bin' changed while it was sent"):
                through.put("a.bin", f"{folder}/{name}", progress=moved)
            assert not (server.root / folder / name).exists()


def _fill(sink: int) -> None:
    with open(sink, "wb") as pipe:
        try:
            pipe.write(CONTENT)
            pipe.flush()
        except BrokenPipeError:
            pipe.raw.close()  # nobody reads any further, as some tests want it
