"""What is measured. Each row is written down beside its measurement."""

from __future__ import annotations

from benchmarks.rows import (
    archives,
    growth,
    health,
    large,
    listings,
    many_files,
    memory,
    ranges,
    small,
    start,
)
from benchmarks.stage import Row

_MODULES = (large, small, listings, many_files, ranges, health, memory, archives, start, growth)
ROWS: dict[str, Row] = {row.name: row for module in _MODULES for row in module.ROWS}
