"""The command `artifact-proxy`, or `python -m app`: what must hold before all the rest is imported."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from difflib import get_close_matches

CLIENT_COMMANDS = frozenset({"put", "get", "ls", "cat", "rm", "stat", "url", "completion"})
"""Those of `artifact_proxy`, for which nothing of the server is imported."""
_SERVER_COMMANDS = ("serve", "check", "config", "token")
_CLIENT_OPTIONS = frozenset({"--server", "-q", "--quiet", "-j", "--jobs", "--retries", "--timeout", "--json"})
"""None of them is one of the server as well."""
_ELSEWHERE = {
    **dict.fromkeys(("list", "dir", "find"), "ls"),
    **dict.fromkeys(("upload", "push", "add", "log", "send"), "put"),
    **dict.fromkeys(("download", "pull", "fetch", "copy", "cp"), "get"),
    **dict.fromkeys(("delete", "del", "remove"), "rm"),
    **dict.fromkeys(("show", "read", "print"), "cat"),
    **dict.fromkeys(("info", "head", "exists"), "stat"),
    **dict.fromkeys(("presign", "link"), "url"),
    **dict.fromkeys(("server", "start", "run"), "serve"),
}
"""What other programs call them."""


def main() -> int:
    _end_at_signals(os._exit)  # a library could catch all else in the middle of its import
    _open_standard_streams()
    if sys.argv[1:2] and sys.argv[1] in CLIENT_COMMANDS:
        from artifact_proxy import command

        return command.main(sys.argv[1:])
    if sys.argv[1:] and (mistake := _mistake(sys.argv[1])):
        print(f"artifact-proxy: {mistake}", file=sys.stderr)
        return 2
    from app import tracing

    try:
        tracing.judge_import()
    except tracing.RefusedTracing as error:
        print(f"artifact-proxy: {error}.", file=sys.stderr)
        return 2
    from app import cli

    _end_at_signals(sys.exit)
    return cli.main()


def _mistake(word: str) -> str | None:
    """What is wrong with the first word, in place of all flags of the server, which it does not mean."""
    if word.partition("=")[0] in _CLIENT_OPTIONS:
        return f"{word!r} is an option of the commands, and stands after one: `artifact-proxy ls {word}`."
    if word.startswith("-") or word in _SERVER_COMMANDS:
        return None
    of_clients = sorted(CLIENT_COMMANDS)
    near = get_close_matches(word, [*of_clients, *_SERVER_COMMANDS], 1)
    if word in _ELSEWHERE:
        near = [_ELSEWHERE[word]]
    meant = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"There is no command {word!r}.{meant} Clients have {', '.join(of_clients)}; "
        f"the server has {', '.join(_SERVER_COMMANDS)}. Each has --help."
    )


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
            # It is the lowest that is free. What nobody gives is not read as if it were empty.
            mode = os.O_RDWR if descriptor else os.O_WRONLY
            os.set_inheritable(os.open(os.devnull, mode), True)


if __name__ == "__main__":
    sys.exit(main())
