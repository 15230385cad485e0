"""The resident memory of processes, as Linux counts it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_SAMPLE_SECONDS = 0.02


def workers(server: int) -> list[int]:
    """The processes that serve: the children that uvicorn spawned, or the one process itself."""
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    spawned = [
        int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    return spawned or [server]


def resident(process: int) -> int:
    """Bytes of `process` that are in memory now."""
    return _status(process)["VmRSS"]


class Peak:
    """The most bytes that any one of the processes had in memory while it was watched."""

    def __init__(self, processes: Sequence[int]) -> None:
        self._processes = processes
        self._over = threading.Event()
        self.bytes = 0

    def sample(self, counter: str) -> None:
        self.bytes = max(self.bytes, *(_status(process)[counter] for process in self._processes))

    def sample_until_over(self) -> None:
        while not self._over.wait(_SAMPLE_SECONDS):
            self.sample("VmRSS")

    def end(self) -> None:
        self._over.set()


@contextmanager
def watched(processes: Sequence[int]) -> Iterator[Peak]:
    """The peak, which is right after the block.

    The kernel's own high-water mark misses nothing, but cannot be reset everywhere: then what
    was sampled must do.
    """
    resets = [_reset(process) for process in processes]
    peak = Peak(processes)
    sampler = threading.Thread(target=peak.sample_until_over)
    sampler.start()
    try:
        yield peak
    finally:
        peak.end()
        sampler.join()
    peak.sample("VmHWM" if all(resets) else "VmRSS")


def _reset(process: int) -> bool:
    try:
        Path(f"/proc/{process}/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status(process: int) -> dict[str, int]:
    """The sizes in /proc/PID/status, in bytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    fields = (line.split() for line in lines if line.endswith(" kB"))
    return {name.rstrip(":"): int(size) * 1024 for name, size, _unit in fields}
