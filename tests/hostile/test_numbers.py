"""The list is whole: each of its numbers has a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

NUMBERS = range(1, 50)
SECTIONS = {
    "test_paths.py": range(1, 9),
    "test_local_root.py": range(9, 18),
    "test_framing.py": range(18, 22),
    "test_framing_limits.py": range(22, 27),
    "test_methods.py": range(27, 34),
    "test_credentials.py": range(34, 39),
    "test_bodies.py": range(39, 44),
    "test_going_out.py": range(44, 47),
    "test_races.py": range(47, 50),
}


def test_every_number_has_a_test_in_its_section() -> None:
    for file, numbers in SECTIONS.items():
        tree = ast.parse(Path(__file__).with_name(file).read_text())
        names = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        found = {int(match[1]) for name in names if (match := re.match(r"test_(\d\d)_", name))}
        assert found == set(numbers), file
    assert sorted(number for numbers in SECTIONS.values() for number in numbers) == list(NUMBERS)
