"""What clients may write, and what may become of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import strategies as st
from starlette.datastructures import Headers

T = TypeVar("T")
latin = st.text(st.characters(max_codepoint=0xFF), max_size=200)


def pieces(*texts: str, size: int = 12) -> st.SearchStrategy[str]:
    """Texts of what means something to the parser, in any order, with anything between."""
    return st.lists(st.one_of(st.sampled_from(texts), latin.map(lambda text: text[:5])), max_size=size).map(
        "".join
    )


def headers(name: str, values: list[str]) -> Headers:
    return Headers(raw=[(name.lower().encode(), value.encode("latin-1")) for value in values])


def only(kinds: type[Exception] | tuple[type[Exception], ...], read: Callable[[], T]) -> T | None:
    """What is read; None if it is refused with one of these errors. All others are defects."""
    try:
        return read()
    except kinds:
        return None
