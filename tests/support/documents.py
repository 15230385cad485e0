"""The documents of this project, as their readers see them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
SERVER = "http://127.0.0.1:5500"
"""Where the documents have the server."""
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    language: str
    text: str


def read(document: str) -> str:
    """The text of a document, by its path in the repository."""
    return (ROOT / document).read_text("utf-8")


def blocks(text: str, *languages: str) -> list[Block]:
    """The blocks of code in a text that are in one of these languages."""
    return [
        block for found in _BLOCK.finditer(text) if (block := Block(*found.groups())).language in languages
    ]


def sections(document: str) -> dict[str, str]:
    """The text below each heading of the second level, by that heading."""
    _, *parts = re.split(r"^## (.+)$", read(document), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))
