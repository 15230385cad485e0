"""python -m benchmarks; see `command`."""

import signal
import sys

if __name__ == "__main__":  # not in the processes of the clients, which import this again
    from benchmarks.command import main

    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # which ends all servers
    sys.exit(main())
