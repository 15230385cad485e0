"""The command `artifact-proxy`, or `python -m app`: what must hold before all the rest is imported."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

from app import tracing


def main() -> int:
    _end_at_signals(os._exit)  # a library could catch all else in the middle of its import
    _open_standard_streams()
    try:
        tracing.judge_import()
    except tracing.RefusedTracing as error:
        print(f"artifact-proxy: {error}.", file=sys.stderr)
        return 2
    from app import cli

    _end_at_signals(sys.exit)
    return cli.main()


def _end_at_signals(end: Callable[[int], object]) -> None:
    """Until the server takes them: the first process of a container is not ended by them by itself."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: end(128 + received))


def _open_standard_streams() -> None:
    """Else the listening socket would be the standard output of all workers, and none could close it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it is the lowest that is free


if __name__ == "__main__":
    sys.exit(main())
