"""The command line: `artifact-proxy put`, `get`, `ls`, `cat`, `rm`, `stat`, `url` and `completion`."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from artifact_proxy.command import exits, output
from artifact_proxy.command.arguments import parsed


def main(argv: Sequence[str]) -> int:
    """Does what the words after `artifact-proxy` say; gives the exit status."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        status = _done(argv)
        output.flush()
        return status
    except output.Closed:
        return exits.CLOSED_OUTPUT
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # for whoever does not want to wait for the output
        with suppress(output.Closed, SystemExit):
            output.flush()
        # At once: threads that wait for a server would be waited for. What they have got is on the disk.
        os._exit(exits.INTERRUPTED)


def _done(argv: Sequence[str]) -> int:
    arguments = parsed(argv)
    logger = logging.getLogger("artifact_proxy")
    logger.handlers = [output.Telling()]
    logger.setLevel(logging.CRITICAL if vars(arguments).get("quiet") else logging.WARNING)
    failures, status = exits.Failures(), exits.OK
    with failures.told():
        status = arguments.run(arguments)
    return failures.status or status
