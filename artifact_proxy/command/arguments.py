"""The words of the command line: what can be asked for, and its help."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from artifact_proxy.command.numbers import count, positive, seconds
from artifact_proxy.retrying import RETRIES

_PROGRAM = "artifact-proxy"
_MARK = "\0"
"""Which no word of a command line can have."""
COMMANDS = {
    "put": "upload files, folders, or the standard input",
    "get": "download artifacts, or all that is below a directory",
    "ls": "list a directory",
    "cat": "write artifacts to the standard output",
    "rm": "delete artifacts, or directories with all that is below them",
    "stat": "tell size, time and ETag",
    "url": "tell the URL of artifacts",
    "completion": "print what makes a shell complete these commands",
}
_OF_THE_SERVER = ("serve", "check", "config", "token")
"""Completed as well, but taken by the server's own command line."""
SHELLS = ("bash", "zsh", "fish", "tcsh")
_PATHS = """\
PATH is a path below the artifact root, the URL of an artifact, mlflow-artifacts:/path,
runs:/<run id>/path, or models:/<name>/<version>/path; MLFLOW_TRACKING_URI is asked for the latter two.
Patterns (*, ?, [...] and **) are for the listings of the server: quote them. A path that is there as
it stands is no pattern; [*], [?] and [[] stand for *, ? and [, and so does what is percent-encoded in a URL.
"""
_EXAMPLES = {
    "put": """\
artifact-proxy put model.bin models/a/model.bin
artifact-proxy put *.csv reports/ models/b/
artifact-proxy put --create-only model.bin models/c/model.bin
tar c src | artifact-proxy put - archives/src.tar""",
    "get": """\
artifact-proxy get models/a/model.bin
artifact-proxy get models/a/model.bin copy.bin
artifact-proxy get --recursive models/a copies/
artifact-proxy get 'models/*/model.bin' copies/
artifact-proxy get archives/src.tar - | tar t""",
    "ls": """\
artifact-proxy ls
artifact-proxy ls -l models/a
artifact-proxy ls --recursive --json models""",
    "cat": "artifact-proxy cat reports/a.csv reports/b.csv | wc -l",
    "rm": """\
artifact-proxy rm models/a/model.bin
artifact-proxy rm --recursive models/a""",
    "stat": "artifact-proxy stat --digest models/a/model.bin",
    "url": """\
curl -O "$(artifact-proxy url models/a/model.bin)"
artifact-proxy url --presigned models/a/model.bin""",
    "completion": 'eval "$(artifact-proxy completion bash)"',
}
_ENVIRONMENT = """\
The server is taken from --server or ARTIFACT_PROXY_SERVER; the token from ARTIFACT_PROXY_TOKEN,
MLFLOW_TRACKING_TOKEN, MLFLOW_TRACKING_USERNAME with MLFLOW_TRACKING_PASSWORD, or the login for its host in
~/.netrc, or in the file of NETRC.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not permitted, 5 conflict or condition,
6 server or network unavailable, 7 damaged on the way, 130 interrupted, 141 the output is closed,
143 terminated.
"""


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """What the words mean, of which the first one is a command. Raises `SystemExit`, as argparse does."""
    commands = _commands(argparse.ArgumentParser(prog=_PROGRAM), None)
    # By itself: so options may also stand between paths, as people are used to.
    chosen: argparse.ArgumentParser = commands.choices[argv[0]]
    words = list(argv[1:])
    after = words.index("--") if "--" in words else len(words)
    # What stands after it is marked as no option, for which argparse has nothing between options and paths.
    marked = [f"{_MARK}{word}" for word in words[after + 1 :]]
    arguments = chosen.parse_intermixed_args(words[:after] + marked)
    return argparse.Namespace(**{name: _unmarked(value) for name, value in vars(arguments).items()})


def _unmarked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unmarked(each) for each in value]
    return value.removeprefix(_MARK) if isinstance(value, str) else value


def parser(files: object) -> argparse.ArgumentParser:
    """One for all commands; `files` is what shtab wants to find where files of this machine are meant."""
    whole = argparse.ArgumentParser(prog=_PROGRAM)
    commands = _commands(whole, files)
    for name in _OF_THE_SERVER:
        commands.add_parser(name)
    return whole


def _commands(whole: argparse.ArgumentParser, files: object) -> Any:
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    _put(_command(commands, "put", "copying"), files)
    _get(_command(commands, "get", "copying"), files)
    _ls(_command(commands, "ls", "artifacts"))
    cat = _command(commands, "cat", "artifacts")
    cat.add_argument("paths", nargs="+", metavar="PATH")
    _rm(_command(commands, "rm", "artifacts"))
    stat = _command(commands, "stat", "artifacts")
    stat.add_argument(
        "--digest", action="store_true", help="also the SHA-256, for which the server reads them"
    )
    stat.add_argument("paths", nargs="+", metavar="PATH")
    url = _command(commands, "url", "artifacts")
    url.add_argument(
        "--presigned",
        action="store_true",
        help="one by which the server's storage gives the artifact for a while to whoever has it",
    )
    url.add_argument("paths", nargs="+", metavar="PATH")
    completion = _described(commands, "completion")
    completion.add_argument("shell", choices=SHELLS)
    completion.set_defaults(run=_lazily("completion", "completion"))
    return commands


def _put(parser: argparse.ArgumentParser, files: object) -> None:
    parser.add_argument(
        "--create-only",
        action="store_true",
        help="replace nothing: what is there is a conflict (exit status 5)",
    )
    sources = parser.add_argument(
        "sources", nargs="+", metavar="SRC", help="a file, a folder, or - for the standard input"
    )
    sources.complete = files  # type: ignore[attr-defined]  # where shtab looks for it
    parser.add_argument(
        "destination",
        metavar="DEST",
        help="the path of the artifact, or of the directory for what is in a folder; with a slash at its "
        "end, or for several SRC, the directory into which they go under their own names",
    )


def _get(parser: argparse.ArgumentParser, files: object) -> None:
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="directories with all that is below them"
    )
    parser.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="compare with the digest that the server tells, for which it reads the artifact "
        "(default: what did not come in one piece)",
    )
    parser.usage = "%(prog)s [options] SRC... [DEST]"
    paths = parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="artifacts, or directories with --recursive or a slash at their end; the last of several is a "
        "file, a folder, or - for the standard output (default: this folder)",
    )
    paths.complete = files  # type: ignore[attr-defined]  # as above


def _ls(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-l", "--long", action="store_true", help="with size and time")
    parser.add_argument("-r", "--recursive", action="store_true", help="artifacts at any depth")
    parser.add_argument("path", nargs="?", default="", metavar="PATH", help="default: the artifact root")


def _rm(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="directories with all that is below them"
    )
    parser.add_argument("-f", "--force", action="store_true", help="what is missing is no error")
    parser.add_argument("paths", nargs="+", metavar="PATH")


def _command(commands: Any, name: str, module: str) -> argparse.ArgumentParser:
    """One that asks a server; `module` has the function of its name."""
    parser = _described(commands, name)
    parser.set_defaults(run=_lazily(module, name))
    parser.add_argument("--server", metavar="URL", help="of the artifact-proxy [ARTIFACT_PROXY_SERVER]")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bars, no warnings")
    parser.add_argument(
        "-j", "--jobs", type=positive, default=8, metavar="N", help="transfers at once (default: 8)"
    )
    parser.add_argument(
        "--retries",
        type=count,
        default=RETRIES,
        metavar="N",
        help=f"how often is tried again what may pass (default: {RETRIES})",
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=60,
        metavar="SECONDS",
        help="for so long a server may be silent (default: 60)",
    )
    if name != "cat":
        parser.add_argument("--json", action="store_true", help="one JSON object for each, a line each")
    return parser


def _described(commands: Any, name: str) -> argparse.ArgumentParser:
    indented = "\n".join(f"  {line}" for line in _EXAMPLES[name].splitlines())
    paths = "" if name == "completion" else f"{_PATHS}\n{_ENVIRONMENT}\n"
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=COMMANDS[name],
        description=COMMANDS[name][0].upper() + COMMANDS[name][1:] + ".",
        epilog=f"{paths}Examples:\n{indented}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser


def _lazily(module: str, name: str) -> Callable[[argparse.Namespace], int]:
    """What does the command, imported only then."""

    def run(arguments: argparse.Namespace) -> int:
        from importlib import import_module

        done: int = getattr(import_module(f"artifact_proxy.command.{module}"), name)(arguments)
        return done

    return run
