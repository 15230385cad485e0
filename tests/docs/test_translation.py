"""README.ja.md says in Japanese what README.md says."""

from __future__ import annotations

import hashlib
import re

import pytest

from tests.support.documents import read

ENGLISH, JAPANESE = read("README.md"), read("README.ja.md")
SUM = hashlib.sha256(ENGLISH.encode()).hexdigest()
CODE = r"^```\w+\n.*?^```$"
PARTS = {
    "blocks of code": CODE,
    "headings": r"^#+ ",
    "links": r"\]\(([^)#]+)",
    "names in code": r"(?<!`)`[^`\n]+`(?!`)",
    "items": r"^- ",
}


def parts(text: str, pattern: str) -> list[str]:
    prose = text if pattern == CODE else re.sub(CODE, "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(pattern, prose, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("kind", PARTS)
def test_both_have_the_same(kind: str) -> None:
    english, japanese = (parts(text, PARTS[kind]) for text in (ENGLISH, JAPANESE))
    if kind == "links":
        english.remove("README.ja.md")
        japanese.remove("README.md")
    if kind in {"links", "names in code"}:
        # In the order of another grammar.
        english.sort()
        japanese.sort()
    assert japanese == english
    assert len(english) > 5


def test_the_translation_is_of_what_the_original_says_now() -> None:
    """Whoever changes README.md changes README.ja.md, too, and then its last line."""
    assert JAPANESE.splitlines()[-1] == f"<!-- README.md sha256:{SUM} -->"
