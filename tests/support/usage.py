"""What a process has of the machine, as Linux counts it."""

from __future__ import annotations

from pathlib import Path

import psutil

PER_CONNECTION = 384 * 1024
"""Bytes that the server may take for each: what it reads of a request before that is let in, and what it
knows of a connection. docs/reliability.md promises it."""


def resident(process: int) -> int:
    """Bytes that are in memory now."""
    return _status(process, "VmRSS")


def forget_peak(process: int) -> None:
    Path(f"/proc/{process}/clear_refs").write_text("5")


def peak(process: int) -> int:
    """The most bytes that were in memory at once since `forget_peak`."""
    return _status(process, "VmHWM")


def descriptors(process: int) -> int:
    return int(psutil.Process(process).num_fds())


def threads(process: int) -> int:
    return int(psutil.Process(process).num_threads())


def _status(process: int, name: str) -> int:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {process} has no {name}")
