"""Measures all that has a budget, and prints it beside the figures that stand in `tests.costs.budgets`.

    python -m tests.costs
    python -m tests.costs --write

With `--write` the figures are put there, too, but for those that are lower by less than a tenth: some vary.
"""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

import pytest

from tests.costs import budgets

_DIGITS = 3
"""More would change from run to run."""


def main() -> int:
    budgets.enforced = False
    status = pytest.main(["-q", "-p", "no:cacheprovider", str(Path(__file__).parent)])
    table = Path(budgets.__file__)
    text = table.read_text()
    for what in [*budgets.MEASURED, *sorted(budgets.seen.keys() - budgets.MEASURED.keys())]:
        known, cost = budgets.MEASURED.get(what), budgets.seen.get(what)
        change = f"{cost / known - 1:+7.1%}" if known and cost is not None else ""
        print(f"{_shown(cost):>12} {_shown(known):>12} {change:>8}  {what}")
        if cost is not None and not (known and known * 0.9 <= cost < known):
            text = re.sub(rf'("{re.escape(what)}": )[^,]+', rf"\g<1>{_shown(cost)}", text)
    if "--write" in sys.argv[1:]:
        table.write_text(text)
    return int(status)


def _shown(figure: float | None) -> str:
    """As Python writes it, rounded up; a dash where there is none."""
    if figure is None:
        return "-"
    step = 10 ** (math.floor(math.log10(figure)) + 1 - _DIGITS) if figure else 1
    rounded = math.ceil(round(figure / step, 6)) * step
    return f"{rounded:_.0f}" if figure >= 10 ** (_DIGITS - 1) else f"{rounded:.{_DIGITS}g}"


if __name__ == "__main__":
    sys.exit(main())
