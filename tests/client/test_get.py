"""Downloads to files: whole or not at all, gone on with by whoever comes next, compared with a digest."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from artifact_proxy import ArtifactError, ArtifactNotFound, Client, DigestMismatch, Unavailable
from artifact_proxy.parts import Part, part_of
from tests.support.interposer import Interposer
from tests.support.interposer_actions import (
    answer,
    cut_body,
    flip_response_byte,
    forward,
    refuse,
    replace_body,
)
from tests.support.interposer_exchange import Exchange, Request

CONTENT = os.urandom(1_500_000)
"""Several pieces."""
ENOUGH = 700_000
"""Of which some pieces are written when no more comes."""


def is_get(request: Request) -> bool:
    return request.method == "GET"


def is_head(request: Request) -> bool:
    return request.method == "HEAD"


@pytest.fixture
def path(remote: Client, folder: str) -> str:
    remote.put_bytes(CONTENT, f"{folder}/a.bin")
    return f"{folder}/a.bin"


@pytest.fixture
def interrupted(front: Interposer, through: Client, path: str, place: Path) -> Path:
    """The part that a download to a.bin has left behind."""
    front.on(is_get, cut_body(ENOUGH))
    front.on(is_get, refuse, times=None)
    with pytest.raises(Unavailable):
        through.get(path, "a.bin")
    front.forget_rules()
    front.clear()
    (part,) = place.iterdir()
    assert part.name.startswith(".a.bin.")
    assert 0 < part.stat().st_size <= ENOUGH
    assert CONTENT.startswith(part.read_bytes())
    return part


class TestTarget:
    def test_is_the_file_that_is_named_or_is_in_the_folder_that_is_named(
        self, remote: Client, path: str, place: Path
    ) -> None:
        (place / "d").mkdir()
        remote.get(path)
        remote.get(path, "b")
        remote.get(path, place / "d")
        remote.get(path, "d/c")
        for name in ("a.bin", "b", "d/a.bin", "d/c"):
            assert (place / name).read_bytes() == CONTENT
        assert len(list(place.rglob("*"))) == 5

    def test_is_replaced_in_one_moment(self, remote: Client, path: str, place: Path) -> None:
        (place / "a.bin").write_bytes(b"old")
        seen: set[bytes] = set()
        entry = remote.get(path, "a.bin", progress=lambda _: seen.add((place / "a.bin").read_bytes()))
        assert seen == {b"old"}
        assert (place / "a.bin").read_bytes() == CONTENT
        assert (entry.path, entry.size, entry.etag) == (path, len(CONTENT), remote.stat(path).etag)

    def test_of_an_empty_artifact_is_empty(self, remote: Client, folder: str, place: Path) -> None:
        remote.put_bytes(b"", f"{folder}/empty")
        remote.get(f"{folder}/empty")
        assert (place / "empty").read_bytes() == b""

    @pytest.mark.parametrize("name", ["link", "fifo"])
    def test_that_is_no_plain_file_is_left_alone(
        self, remote: Client, path: str, place: Path, name: str
    ) -> None:
        (place / "link").symlink_to("/dev/null")
        os.mkfifo(place / "fifo")
        with pytest.raises(ArtifactError, match="no plain file that could be replaced"):
            remote.get(path, name)
        assert (place / "link").is_symlink()
        assert (place / "fifo").is_fifo()

    def test_that_cannot_be_written_is_said(self, remote: Client, path: str) -> None:
        with pytest.raises(ArtifactError, match=r"'none/a\.bin' cannot be written: No such file"):
            remote.get(path, "none/a.bin")

    def test_with_a_long_name_has_a_part_as_well(self, remote: Client, folder: str, place: Path) -> None:
        name = "ü" * 127
        remote.put_bytes(b"x", f"{folder}/{name}")
        remote.get(f"{folder}/{name}")
        assert [file.name for file in place.iterdir()] == [name]

    def test_is_not_made_of_what_is_missing(self, remote: Client, folder: str, place: Path) -> None:
        with pytest.raises(ArtifactNotFound, match="none"):
            remote.get(f"{folder}/none")
        assert list(place.iterdir()) == []


class TestBrokenConnection:
    def test_is_made_again_for_the_rest(
        self, front: Interposer, through: Client, path: str, place: Path
    ) -> None:
        for _ in range(4):  # more than the retries, as each brings some of it
            front.on(is_get, cut_body(300_000))
        moved: list[int] = []
        through.get(path, "a.bin", progress=moved.append)
        assert (place / "a.bin").read_bytes() == CONTENT
        assert sum(moved) == len(CONTENT)
        first, *others, last = front.requests()
        assert "range" not in first.headers
        assert {request.headers["if-match"] for request in others if is_get(request)} == {
            through.stat(path).etag
        }
        assert (last.method, last.headers["want-repr-digest"]) == ("HEAD", "sha-256=1")

    def test_is_not_made_again_forever(self, interrupted: Path, front: Interposer) -> None:
        assert interrupted.exists()
        assert front.requests() == []

    def test_is_an_end_where_nothing_has_come(
        self, front: Interposer, through: Client, path: str, place: Path
    ) -> None:
        front.on(is_get, answer(503, headers={"Retry-After": "0"}), times=None)
        with pytest.raises(Unavailable):
            through.get(path, "a.bin")
        assert len(front.requests()) == 3
        assert list(place.iterdir()) == []

    def test_of_what_has_no_version_leaves_nothing_to_go_on_with(
        self, front: Interposer, through: Client, path: str, place: Path
    ) -> None:
        def without_etag(exchange: Exchange) -> None:
            exchange.send_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + bytes(700_000))

        front.on(is_get, without_etag)
        with pytest.raises(ArtifactError, match="no ETag"):
            through.get(path, "a.bin")
        assert list(place.iterdir()) == []

    def test_during_a_replacement_gives_the_new_version_whole(
        self, front: Interposer, through: Client, remote: Client, path: str, place: Path
    ) -> None:
        def replaced(exchange: Exchange) -> None:
            remote.put_bytes(CONTENT[::-1], path)
            forward(exchange)

        front.on(is_get, cut_body(ENOUGH))
        front.on(is_get, replaced)
        moved: list[int] = []
        through.get(path, "a.bin", progress=moved.append)
        assert (place / "a.bin").read_bytes() == CONTENT[::-1]
        assert sum(moved) == len(CONTENT)
        assert [file.name for file in place.iterdir()] == ["a.bin"]


class TestLaterRun:
    def test_asks_for_the_rest_and_compares(
        self, front: Interposer, through: Client, path: str, place: Path, interrupted: Path
    ) -> None:
        size = interrupted.stat().st_size
        moved: list[int] = []
        through.get(path, "a.bin", progress=moved.append)
        assert (place / "a.bin").read_bytes() == CONTENT
        assert (moved[0], sum(moved)) == (size, len(CONTENT))
        assert [request.method for request in front.requests()] == ["HEAD", "GET", "HEAD"]
        rest = front.requests()[1].headers
        assert rest["range"] == f"bytes={size}-"
        assert rest["if-range"] == through.stat(path).etag
        assert not interrupted.exists()

    def test_does_not_compare_where_that_is_not_wanted(
        self, front: Interposer, through: Client, path: str, interrupted: Path
    ) -> None:
        through.get(path, "a.bin", verify=False)
        assert [request.method for request in front.requests()] == ["HEAD", "GET"]
        assert not interrupted.exists()

    def test_of_all_bytes_compares_alone(
        self, front: Interposer, through: Client, path: str, place: Path, interrupted: Path
    ) -> None:
        interrupted.write_bytes(CONTENT)
        through.get(path, "a.bin")
        assert [request.method for request in front.requests()] == ["HEAD", "HEAD"]
        assert (place / "a.bin").read_bytes() == CONTENT

    @pytest.mark.parametrize("damage", [lambda kept: b"\0" + kept[1:], lambda kept: kept + bytes(2_000_000)])
    def test_does_not_trust_what_was_left(
        self,
        through: Client,
        path: str,
        place: Path,
        interrupted: Path,
        damage: Callable[[bytes], bytes],
    ) -> None:
        interrupted.write_bytes(damage(interrupted.read_bytes()))
        through.get(path, "a.bin")
        assert (place / "a.bin").read_bytes() == CONTENT
        assert not interrupted.exists()

    def test_begins_anew_with_another_version_and_removes_what_is_left_of_the_old_one(
        self, front: Interposer, through: Client, remote: Client, path: str, place: Path, interrupted: Path
    ) -> None:
        (place / ".other.0123456789abcdef.part").write_bytes(b"of another file")
        remote.put_bytes(b"new", path)
        through.get(path, "a.bin")
        assert (place / "a.bin").read_bytes() == b"new"
        assert sorted(file.name for file in place.iterdir()) == [".other.0123456789abcdef.part", "a.bin"]
        assert "range" not in front.requests()[1].headers

    def test_begins_anew_where_the_version_goes_away_before_the_rest_is_asked_for(
        self, front: Interposer, through: Client, remote: Client, path: str, place: Path, interrupted: Path
    ) -> None:
        def replaced(exchange: Exchange) -> None:
            exchange.reply(exchange.forward())
            remote.put_bytes(b"new", path)

        front.on(is_head, replaced)
        through.get(path, "a.bin")
        assert (place / "a.bin").read_bytes() == b"new"
        assert not interrupted.exists()

    def test_begins_anew_where_the_server_knows_no_ranges(
        self, front: Interposer, through: Client, path: str, place: Path, interrupted: Path
    ) -> None:
        etag = through.stat(path).etag
        assert etag is not None
        front.on(is_get, replace_body(200, CONTENT, {"ETag": etag}))
        moved: list[int] = []
        through.get(path, "a.bin", progress=moved.append)
        assert (place / "a.bin").read_bytes() == CONTENT
        assert sum(moved) == len(CONTENT)

    def test_leaves_a_download_alone_that_another_process_goes_on_with(
        self, through: Client, path: str, place: Path, interrupted: Path
    ) -> None:
        kept = interrupted.read_bytes()
        with Part(interrupted, place / "a.bin"), pytest.raises(ArtifactError, match="is being downloaded"):
            through.get(path, "a.bin")
        assert interrupted.read_bytes() == kept

    def test_writes_by_no_link(self, through: Client, remote: Client, path: str, place: Path) -> None:
        (place / "mine").write_bytes(b"mine")
        etag = remote.stat(path).etag
        assert etag
        part_of(Path("a.bin"), etag).symlink_to("mine")
        with pytest.raises(ArtifactError, match="cannot be written"):
            through.get(path, "a.bin")
        assert (place / "mine").read_bytes() == b"mine"


class TestDigest:
    def test_that_differs_has_all_sent_again_once(
        self, front: Interposer, through: Client, path: str, place: Path
    ) -> None:
        front.on(is_get, flip_response_byte(1_000_000))
        through.get(path, "a.bin", verify=True)
        assert (place / "a.bin").read_bytes() == CONTENT
        front.on(is_get, flip_response_byte(1_000_000), times=None)
        with pytest.raises(DigestMismatch, match="damaged on its way"):
            through.get(path, "b.bin", verify=True)
        assert [request.method for request in front.requests()] == ["GET", "HEAD"] * 4
        assert [file.name for file in place.iterdir()] == ["a.bin"]

    def test_of_a_version_that_has_gone_away_has_the_new_one_sent(
        self, front: Interposer, through: Client, remote: Client, path: str, place: Path
    ) -> None:
        def replaced(exchange: Exchange) -> None:
            remote.put_bytes(b"new", path)
            forward(exchange)

        front.on(is_head, replaced)
        through.get(path, "a.bin", verify=True)
        assert (place / "a.bin").read_bytes() == b"new"
        assert [file.name for file in place.iterdir()] == ["a.bin"]

    def test_that_no_server_tells_is_missed_only_where_it_is_wanted(
        self, front: Interposer, through: Client, path: str, place: Path, interrupted: Path
    ) -> None:
        front.on(lambda request: "want-repr-digest" in request.headers, replace_body(200, b""), times=None)
        through.get(path, "a.bin")
        assert (place / "a.bin").read_bytes() == CONTENT
        with pytest.raises(ArtifactError, match="tells no digest"):
            through.get(path, "b.bin", verify=True)
