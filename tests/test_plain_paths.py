"""Paths that are told to be plain at a glance are judged as all others are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app import paths
from app.errors import InvalidPath
from app.paths import MAX_PATH_BYTES, MAX_SEGMENT_BYTES, MAX_SEGMENTS
from tests.support.path_readers import CHILD, DEEPER_CHILD, FROM_TEXT, FROM_URL

NEVER = re.compile(r"(?!)")
DOUBTFUL = [
    *(chr(code) for code in range(32)),
    *"\x7f%\\:;~!?#&*\"'<>|@$()[]{}^`",
    "\x85",
    "é",
    "\ud800",
    "\uff0e",
]
READERS = FROM_TEXT | FROM_URL | CHILD | DEEPER_CHILD

plain_segments = st.from_regex(paths._PLAIN_SEGMENT.replace("*+", "*"), fullmatch=True)
plain_texts = st.lists(plain_segments, min_size=1, max_size=8).map("/".join)
near_texts = st.lists(
    st.one_of(
        plain_segments,
        st.sampled_from(
            [*DOUBTFUL, ".", "..", "", "/", "C:", "file:", ".a", "-a", " a", "x" * MAX_SEGMENT_BYTES]
        ),
    ),
    min_size=1,
    max_size=6,
)
texts = st.one_of(plain_texts, near_texts.map("/".join), near_texts.map("".join))


@contextmanager
def without_a_glance() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(paths, "_PLAIN", NEVER)
        yield


def outcomes(text: str) -> list[tuple[str, ...] | str]:
    """What each reader makes of the text: segments, or the reason why not."""
    found: list[tuple[str, ...] | str] = []
    for read in READERS.values():
        try:
            found.append(read(text).segments)
        except InvalidPath as refused:
            found.append(str(refused))
    return found


@given(texts)
@example("x" * MAX_SEGMENT_BYTES)
@example("x" * (MAX_SEGMENT_BYTES + 1))
@example("/".join("x" * MAX_SEGMENTS))
@example("/".join("x" * (MAX_SEGMENTS + 1)))
@example("/".join(["x" * 204] * 5)[:MAX_PATH_BYTES])
@example("/".join(["x" * 204] * 5)[: MAX_PATH_BYTES + 1])
@example("a/" + "x" * (MAX_SEGMENT_BYTES + 1))
@example("file")
@example("C/a")
@example("a./b")
@example("a../b..")
@example("a /b ")
@example("é" * (MAX_SEGMENT_BYTES // 2) + "x" * 2)
def test_the_outcome_is_the_same_as_without(text: str) -> None:
    quick = outcomes(text)
    with without_a_glance():
        assert quick == outcomes(text)


@given(plain_texts)
def test_what_is_plain_has_one_reading_and_is_its_own_url_but_for_some_escapes(text: str) -> None:
    with without_a_glance():
        try:
            path = paths.ArtifactPath.parse(text)
        except InvalidPath as refused:
            assert re.search(" (is longer than|has more than) ", str(refused))  # noqa: PT017 - of some only
            return
    assert path.readings == (tuple(text.split("/")),)
    assert paths.ArtifactPath.from_url(text) == path


@pytest.mark.parametrize("character", DOUBTFUL, ids=ascii)
@pytest.mark.parametrize("around", ["{}", "a{}", "{}a", "a{}a", "a/{}", "a/b{}c/d", "{}/a"])
def test_nothing_doubtful_is_plain(character: str, around: str) -> None:
    assert not paths._PLAIN.fullmatch(around.format(character))


@pytest.mark.parametrize("segment", [".", "..", ".a", "...", "..a", "", ".artifact-proxy", "-a", " a", "=a"])
@pytest.mark.parametrize("around", ["{}", "a/{}", "{}/a", "a/{}/b"])
def test_nor_is_any_name_that_begins_with_what_may_mean_something_else(segment: str, around: str) -> None:
    assert not paths._PLAIN.fullmatch(around.format(segment))


@pytest.mark.parametrize("text", ["a", "A_b-c.d/0/x=1,y+z/a b.txt", "model/MLmodel", "1/2/artifacts/a..b"])
def test_most_others_are(text: str) -> None:
    assert paths._PLAIN.fullmatch(text)


def test_no_text_takes_long_to_look_at() -> None:
    """As no part of it is tried a second time."""
    assert not paths._PLAIN.fullmatch("a/" * 1_000_000 + "%")
    assert not paths._PLAIN.fullmatch("a" * 1_000_000 + "%")
