"""Of any text: a path survives its URL, different names stay different, and no reading of a path escapes."""

from __future__ import annotations

import re
from urllib.parse import unquote

from hypothesis import example, given
from hypothesis import strategies as st

from app.errors import InvalidPath
from app.paths import MAX_PATH_BYTES, MAX_SEGMENT_BYTES, MAX_SEGMENTS, RESERVED_PREFIX, ArtifactPath
from tests.support.path_readers import CHILD, DEEPER_CHILD, FROM_TEXT, FROM_URL, Reader

# Pieces that mean something to some decoder somewhere are put together at random.
PIECES = [
    *("a", "b c", "é", "😀", ".", "..", "/", "\\", ";", ":", "%", "25", "2e", "2f", "5c", "00", "C", "file"),
    *("%2e", "%2E", "%2f", "%5C", "%25", "%252e", "%252f", "%25252f", "%3b", "%00", "%250a"),
    *("%c3%a9", "%25c3%25a9"),
    *("%c0%ae", "%ed%a0%80", "%7f", RESERVED_PREFIX, RESERVED_PREFIX.upper(), "x" * 250),
    *("é" * 126, "d/" * 40),
]
any_character = st.characters(exclude_categories=())
any_text = st.text(any_character)
risky_text = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
texts = st.one_of(risky_text, any_text, st.lists(st.one_of(risky_text, any_text), max_size=5).map("/".join))
raws = st.one_of(risky_text.filter(str.isascii), st.text(st.characters(max_codepoint=0xFF)))


def accepted(read: Reader, text: str) -> ArtifactPath | None:
    try:
        return read(text)
    except InvalidPath:
        return None


segments = (
    st.one_of(risky_text, st.text(min_size=1))
    .map(lambda text: text.replace("/", "_"))
    .filter(lambda name: accepted(ArtifactPath.parse, name) is not None)
)
paths = (
    st.lists(segments, min_size=1, max_size=4)
    .map("/".join)
    .filter(lambda text: accepted(ArtifactPath.parse, text) is not None)
    .map(ArtifactPath.parse)
)


@given(paths)
def test_a_path_survives_its_url(path: ArtifactPath) -> None:
    assert path.url.isascii()
    assert not re.search(r"[^!-~]", path.url)
    assert ArtifactPath.from_url(path.url) == path
    assert ArtifactPath.directory_from_url(f"{path.url}/") == path
    assert ArtifactPath.parse(str(path)) == path


@given(paths, st.data())
def test_however_a_url_is_encoded_it_is_the_same_path(path: ArtifactPath, data: st.DataObject) -> None:
    octets = str(path).encode()
    escaped = data.draw(st.lists(st.booleans(), min_size=len(octets), max_size=len(octets)))
    raw = "".join(
        f"%{octet:02x}" if escape or not 0x20 < octet < 0x7F or octet == 0x25 else chr(octet)
        for octet, escape in zip(octets, escaped, strict=True)
    )
    assert ArtifactPath.from_url(raw) == path


@given(raws, raws)
@example("a%2520b", "a%20b")
@example("%C3%A9", "e%CC%81")
@example("a+b", "a%20b")
def test_different_names_stay_different_and_equal_ones_equal(first: str, second: str) -> None:
    one, other = accepted(ArtifactPath.from_url, first), accepted(ArtifactPath.from_url, second)
    if one is not None and other is not None:
        same = unquote(first, errors="strict") == unquote(second, errors="strict")
        assert (one == other) is same


def readings(text: str) -> list[str]:
    """All that a decoder behind us could take `text` for; independent of the code under test."""
    found = [text]
    while (further := unquote(found[-1], errors="replace")) != found[-1]:
        found.append(further)
    return found


@given(texts)
@example("%2525252e%2525252e/a")
@example("a%255c..")
def test_no_reading_of_an_accepted_path_leaves_its_place(text: str) -> None:
    path = accepted(ArtifactPath.parse, text)
    if path is None:
        return
    assert str(path) == text
    assert len(text.encode()) <= MAX_PATH_BYTES
    assert len(path.segments) <= MAX_SEGMENTS
    assert all(len(segment.encode()) <= MAX_SEGMENT_BYTES for segment in path.segments)
    for reading in readings(text):
        assert not any(character < " " or character == "\x7f" for character in reading)
        parts = reading.replace("\\", "/").split("/")
        assert not {"", ".", ".."} & set(parts)
        assert not {".", ".."} & {part.split(";")[0] for part in parts}
        assert not any(part.lower().startswith(RESERVED_PREFIX) for part in parts)


@given(texts)
def test_any_text_is_a_path_or_an_invalid_path(text: str) -> None:
    for read in (*FROM_TEXT.values(), *CHILD.values(), *DEEPER_CHILD.values()):
        path = accepted(read, text)
        assert path is None or path.segments == tuple(str(path).split("/")) or path.is_root


@given(raws)
def test_any_request_target_is_a_path_or_an_invalid_path(raw: str) -> None:
    for read in FROM_URL.values():
        path = accepted(read, raw)
        assert path is None or ArtifactPath.directory_from_url(path.url) == path


@given(paths)
def test_the_parents_are_all_directories_on_the_way_to_it(path: ArtifactPath) -> None:
    parents = path.parents
    assert [len(parent.segments) for parent in parents] == list(range(1, len(path.segments)))
    for parent in parents:
        assert str(path).startswith(f"{parent}/")
        assert ArtifactPath.parse(str(parent)) == parent
    assert ArtifactPath().parents == []
