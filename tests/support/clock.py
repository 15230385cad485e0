"""A clock of a server's own, which a test sets as an operator or a time service might."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

YEAR = "365d"


@dataclass(frozen=True)
class Clock:
    library: Path
    """libfaketime, which a server is started with."""
    file: Path
    """What it reads whenever it is asked for the time."""

    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(self.library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # no kernel lets that jump
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # else threads that wait for each other do so for ever
            # The times of files are what the server makes them.
            "NO_FAKE_STAT": "1",
            "FAKE_UTIME": "0",
        }

    def jump(self, offset: str) -> None:
        """To that much, such as +365d, before or behind the clock of this machine."""
        self._write(offset)

    def be_right(self) -> None:
        self._write("+0")

    def stand_still(self, moment: datetime) -> None:
        self._write(moment.strftime("%Y-%m-%d %H:%M:%S"))

    def _write(self, text: str) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(f"{text}\n")
        os.replace(new, self.file)  # so that it is never read empty


def libfaketime() -> Path | None:
    """The library of Debian's package; None if it is not installed."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
