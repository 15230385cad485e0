"""What came of the storms, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

WRONG = ("lost", "torn", "stale", "unavailable", "senseless", "left over")
"""None of these may ever be."""
_READS = ("read", "range", "head")


def table(storms: Mapping[str, Counter[str]]) -> str:
    """Rows of what happened, a column for each root."""
    rows = {
        "writes acknowledged, and checked": ("writes acknowledged",),
        "writes refused by their condition": ("writes refused",),
        "writes broken off, or never taken": ("writes no effect",),
        "writes of unknown outcome": ("writes unknown",),
        "reads checked": _READS,
        "listings checked": ("listing",),
        "reads and listings failed": tuple(f"{how} failed" for how in (*_READS, "listing")),
        "looks behind the servers' backs": ("look behind",),
    }
    told = {name for names in rows.values() for name in names} | {*WRONG}
    faults = sorted({name for counts in storms.values() for name in counts} - told)
    return "\n".join(
        [
            _line("faults tried", [*storms]),
            *(_line(f"  {name}", [counts[name] for counts in storms.values()]) for name in faults),
            _line("answers", [""] * len(storms)),
            *(
                _line(f"  {row}", [sum(counts[name] for name in names) for counts in storms.values()])
                for row, names in rows.items()
            ),
            _line("what must not be", [""] * len(storms)),
            *(_line(f"  {name}", [counts[name] for counts in storms.values()]) for name in WRONG),
        ]
    )


def _line(name: str, cells: list[str] | list[int]) -> str:
    return f"{name:<40}" + "".join(f"{cell:>10}" for cell in cells)
