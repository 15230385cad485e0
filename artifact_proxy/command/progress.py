"""Progress bars on a terminal: one for all, and one for each large file where there are several."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from artifact_proxy.command.output import shown

if TYPE_CHECKING:
    from tqdm import tqdm

_LARGE = 16 * 1024 * 1024
_COLUMNS, _ROWS = 80, 24


class Progress:
    def __init__(self, sizes: Mapping[str, int | None], *, quiet: bool) -> None:
        """`sizes` in bytes of all that is transferred; None where nobody knows."""
        self._sizes = sizes
        self._shows = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self._total: tqdm[Any] | None = None
        self._bars: dict[str, tqdm[Any]] = {}
        self._moved: dict[str, int] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        if self._shows:
            from tqdm import tqdm  # not before: it takes as long as all the rest

            tqdm.set_lock(threading.RLock())  # without the processes that its own is for
            self._total = self._bar(self._title(), self._size(), keep=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._total is not None:
            for bar in (*self._bars.values(), self._total):
                bar.close()

    def moved(self, source: str, count: int) -> None:
        """Called from all threads."""
        if self._total is None:
            return
        self._total.update(count)
        size = self._sizes.get(source) or 0
        if size < _LARGE or len(self._sizes) == 1:
            return
        with self._lock:
            if source not in self._bars:
                self._bars[source] = self._bar(os.path.basename(source), size, keep=False)
                self._moved[source] = 0
            bar = self._bars[source]
            bar.update(count)
            self._moved[source] += count
            if self._moved[source] >= size:
                bar.close()
                del self._bars[source]

    def _title(self) -> str:
        if len(self._sizes) == 1:
            return os.path.basename(next(iter(self._sizes)))
        return f"{len(self._sizes)} files"

    def _size(self) -> int | None:
        sizes = [size for size in self._sizes.values() if size is not None]
        return sum(sizes) if len(sizes) == len(self._sizes) else None

    def _bar(self, title: str, size: int | None, *, keep: bool) -> tqdm[Any]:
        from tqdm import tqdm

        columns = os.get_terminal_size(sys.stderr.fileno()).columns
        return tqdm(
            desc=shown(title),
            total=size,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            leave=keep,
            file=sys.stderr,
            # A pseudo-terminal may have no columns and rows, and then would have no bar.
            ncols=None if columns else _COLUMNS,
            nrows=None if columns else _ROWS,
            dynamic_ncols=columns > 0,
        )
