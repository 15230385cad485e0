"""Archives in which anything is wrong are not counted as having arrived."""

from __future__ import annotations

import io
from collections.abc import Callable
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import get_args

import pytest

from app.archives.formats import FORMATS, MemberBegins, MemberData, MemberEnds
from benchmarks import long_member, members
from benchmarks.content import BLOCK_BYTES, WrongTransfer, pieces
from benchmarks.exchange import fetch, send
from benchmarks.names import ArchiveKind
from tests.support.loopback import listening

KINDS: tuple[ArchiveKind, ...] = get_args(ArchiveKind)
COUNT = 1_003
"""More than fit into one directory."""
SIZE = 3 * BLOCK_BYTES + 1
CONTENT = 2
MEMBER = b"".join(pieces(SIZE, CONTENT))

every_kind = pytest.mark.parametrize("kind", KINDS)
Members = list[tuple[str, bytes]]


def served(kind: ArchiveKind, archived: Members) -> bytes:
    """As artifact-proxy makes it."""
    writer = FORMATS[kind].writer()
    made = bytearray()
    for name, data in archived:
        made += writer.begin(name, len(data), None)
        if data:
            made += writer.data(data)
        made += writer.end()
    return bytes(made) + b"".join(writer.finish())


def many() -> Members:
    return [(name, members.content_of(number)) for number, name in enumerate(members.names_of(COUNT))]


def changed(archived: Members) -> Members:
    name, data = archived[-1]
    return [*archived[:-1], (name, data[:-1] + bytes([data[-1] ^ 1]))]


def swapped(archived: Members) -> Members:
    (first, one), (second, another) = archived[:2]
    return [(first, another), (second, one), *archived[2:]]


def without_the_last(archived: Members) -> Members:
    return archived[:-1]


def with_one_twice(archived: Members) -> Members:
    return [*archived, archived[0]]


def with_one_more(archived: Members) -> Members:
    return [*archived, ("more", b"")]


def renamed(archived: Members) -> Members:
    return [(f"./{archived[0][0]}", archived[0][1]), *archived[1:]]


LIES = [changed, swapped, without_the_last, with_one_twice, with_one_more, renamed]


@every_kind
class TestMany:
    def test_a_right_archive_is_believed(self, kind: ArchiveKind) -> None:
        members.compare_archive(kind, served(kind, many()), COUNT)
        members.compare_archive(kind, members.archived(kind, COUNT), COUNT)

    @pytest.mark.parametrize("lie", LIES)
    def test_other_members_are_wrong(self, kind: ArchiveKind, lie: Callable[[Members], Members]) -> None:
        with pytest.raises(WrongTransfer):
            members.compare_archive(kind, served(kind, lie(many())), COUNT)

    def test_an_archive_without_its_end_or_with_more_is_wrong(self, kind: ArchiveKind) -> None:
        archive = served(kind, many())
        for wrong in (archive.rstrip(b"\0")[:-1], archive + b"x"):
            with pytest.raises(WrongTransfer):
                members.compare_archive(kind, wrong, COUNT)

    def test_what_is_sent_is_what_is_compared(self, kind: ArchiveKind) -> None:
        assert read(kind, [members.archived(kind, COUNT)]) == dict(many())


def lose(folder: Path) -> None:
    (folder / "001/002").unlink()


def add(folder: Path) -> None:
    (folder / "001/003").touch()


def damage(folder: Path) -> None:
    (folder / "001/002").write_bytes(bytes(members.MEMBER_BYTES))


def test_a_folder_that_was_filled_is_believed(tmp_path: Path) -> None:
    members.fill(tmp_path / "folder", COUNT)
    members.compare_folder(tmp_path / "folder", COUNT)


@pytest.mark.parametrize("harm", [lose, add, damage])
def test_a_folder_with_other_artifacts_is_wrong(harm: Callable[[Path], None], tmp_path: Path) -> None:
    members.fill(tmp_path / "folder", COUNT)
    harm(tmp_path / "folder")
    with pytest.raises(WrongTransfer):
        members.compare_folder(tmp_path / "folder", COUNT)


def compared(kind: ArchiveKind, archive: bytes) -> None:
    checksum = long_member.crc(SIZE, CONTENT)
    long_member.compare(kind, SIZE, CONTENT, checksum, io.BytesIO(archive))


def flipped(archive: bytes) -> bytes:
    return archive[:300_000] + bytes([archive[300_000] ^ 1]) + archive[300_001:]


def lengthened(archive: bytes) -> bytes:
    return archive + b"x"


@every_kind
class TestLarge:
    def test_a_right_archive_is_believed(self, kind: ArchiveKind) -> None:
        compared(kind, served(kind, [(long_member.NAME, MEMBER)]))

    @pytest.mark.parametrize(
        "archived",
        [
            [],
            [("another", MEMBER)],
            [(long_member.NAME, MEMBER[:-1])],
            [(long_member.NAME, MEMBER + b"x")],
            [(long_member.NAME, MEMBER[1:] + b"x")],
            [(long_member.NAME, MEMBER), ("more", b"")],
        ],
    )
    def test_other_members_are_wrong(self, kind: ArchiveKind, archived: Members) -> None:
        with pytest.raises(WrongTransfer):
            compared(kind, served(kind, archived))

    @pytest.mark.parametrize("end", [10, 1_000, SIZE, -1_100, -20, -1])
    def test_an_archive_that_ends_early_is_wrong(self, kind: ArchiveKind, end: int) -> None:
        with pytest.raises(WrongTransfer):
            compared(kind, long_member_of(kind)[:end])

    @pytest.mark.parametrize("lie", [flipped, lengthened])
    def test_other_bytes_are_wrong(self, kind: ArchiveKind, lie: Callable[[bytes], bytes]) -> None:
        with pytest.raises(WrongTransfer):
            compared(kind, lie(long_member_of(kind)))

    def test_what_is_sent_is_what_is_compared(self, kind: ArchiveKind) -> None:
        around = long_member.around(kind, SIZE, CONTENT)
        assert read(kind, [around.head, MEMBER, around.tail]) == {long_member.NAME: MEMBER}


def long_member_of(kind: ArchiveKind) -> bytes:
    return served(kind, [(long_member.NAME, MEMBER)])


def read(kind: ArchiveKind, archive: list[bytes]) -> dict[str, bytes]:
    """What artifact-proxy unpacks."""
    reader = FORMATS[kind].reader()
    found: dict[str, bytes] = {}
    name, data = "", bytearray()
    for event in (event for piece in archive for event in reader.feed(piece)):
        match event:
            case MemberBegins(name, _):
                data = bytearray()
            case MemberData(piece):
                data += piece
            case MemberEnds():
                found[name] = bytes(data)
    reader.close()
    return found


def answering(status: int, body: bytes, length: int) -> type[BaseHTTPRequestHandler]:
    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    return Answering


class TestExchange:
    def test_an_answer_is_taken_whole(self) -> None:
        with listening(answering(200, b"body", 4)) as url:
            fetched = fetch(url, HTTPResponse.read)
        assert fetched.taken == b"body"
        assert fetched.seconds >= fetched.waited > 0

    def test_the_answer_to_an_upload_is_told(self) -> None:
        with listening(answering(201, b'{"artifacts": 1}', 16)) as url:
            assert send(url, 4, [b"bo", b"dy"]).taken == {"artifacts": 1}

    @pytest.mark.parametrize(("status", "body"), [(404, b"no"), (200, b"")])
    def test_another_status_or_no_body_is_wrong(self, status: int, body: bytes) -> None:
        with listening(answering(status, body, len(body))) as url:
            with pytest.raises(WrongTransfer):
                fetch(url, HTTPResponse.read)
            with pytest.raises(WrongTransfer):
                send(url, 1, [b"x"])

    def test_what_is_left_over_is_wrong(self) -> None:
        def take_two(answer: HTTPResponse) -> bytes:
            return answer.read(2)

        with listening(answering(200, b"body", 4)) as url, pytest.raises(WrongTransfer):
            fetch(url, take_two)
