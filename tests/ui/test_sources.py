"""The page's own scripts and styles, as they are written: what no browser would complain about."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "app/ui/static"


def sources(suffix: str) -> dict[Path, str]:
    """Those that are not of others."""
    files = [path for path in STATIC.rglob(f"*{suffix}") if "vendor" not in path.parts]
    return {path: path.read_text("utf-8") for path in files}


SCRIPTS = sources(".js")
STYLES = "\n".join(sources(".css").values())


def test_every_colour_and_measure_that_a_style_names_is_defined() -> None:
    """A declaration with one that is not counts for nothing, without a word."""
    named, defined = (set(re.findall(pattern, STYLES)) for pattern in (r"var\((--[\w-]+)", r"(--[\w-]+):"))
    assert len(named) > 10
    assert named <= defined


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.relative_to(STATIC).as_posix())
def test_what_a_script_exports_is_used_elsewhere(script: Path) -> None:
    others = "\n".join(text for path, text in SCRIPTS.items() if path != script)
    for name in re.findall(r"^export (?:async )?(?:function|class|const) (\w+)", SCRIPTS[script], re.M):
        assert re.search(rf"\b{name}\b", others), name
