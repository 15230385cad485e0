"""`artifact-proxy token new`: makes a static token, shows it once, and keeps its hash."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from fcntl import LOCK_EX, flock
from functools import partial
from pathlib import Path
from tempfile import mkstemp

from app.identity.access_file import InvalidAccessFile, parse, stanza
from app.identity.fields import name_of_token
from app.identity.permissions import Grant
from app.identity.tokens import digest_of, new_token

_MAX_DAYS = 36_500


class RefusedCommand(Exception):
    """What is wrong with the command, and what to do."""


def main(argv: Sequence[str]) -> int:
    arguments = _parser().parse_args(argv)
    try:
        _new(arguments)
    except RefusedCommand as error:
        print(f"artifact-proxy: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="artifact-proxy token",
        description="Makes tokens. The server keeps their hashes alone, so each is shown once.",
        allow_abbrev=False,
    )
    new = parser.add_subparsers(required=True, metavar="new").add_parser(
        "new", help="make a token", allow_abbrev=False
    )
    new.add_argument("name", metavar="NAME", type=_judged(name_of_token), help="whose token it is")
    for effect, example in (
        ("allow", "read,list:models/ or all:users/{name}/"),
        ("deny", "delete:releases/"),
    ):
        new.add_argument(
            f"--{effect}",
            metavar="ACTIONS:PATH",
            type=_judged(_checked),
            action="append",
            default=[],
            help=f"what to {effect}, such as {example}; may be repeated",
        )
    new.add_argument(
        "--expires-in", metavar="DAYS", type=int, help="days for which it holds; without, it does not expire"
    )
    new.add_argument(
        "--access-file", metavar="FILE", type=Path, help="add it to this file, which is made if it is missing"
    )
    new.add_argument(
        "--token-file",
        metavar="FILE",
        type=Path,
        help="write the token to this new file, and do not print it",
    )
    return parser


def _judged(judge: Callable[[str], str]) -> Callable[[str], str]:
    """What argparse wants: its own error for text that cannot be used."""

    def judged(text: str) -> str:
        try:
            return judge(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return judged


def _checked(text: str) -> str:
    Grant.parse(text)
    return text


def _new(arguments: argparse.Namespace) -> None:
    token = new_token()
    expires = _expiry(arguments.expires_in)
    text = stanza(arguments.name, digest_of(token), arguments.allow, arguments.deny, expires)
    if arguments.access_file is None:
        _require_sense(text, Path(), "The token cannot be made so")
        if arguments.token_file is None:
            _show(f"{token}\n\nFor the access file:\n\n{text}")
        else:
            _keep(arguments.token_file, token)
            try:
                _show(text)
            except RefusedCommand:
                arguments.token_file.unlink()
                raise
    else:
        _add(arguments.access_file, text, partial(_give, arguments.token_file, token))
    if not arguments.allow:
        print(f"{arguments.name!r} may do nothing yet: give it an --allow.", file=sys.stderr)


def _expiry(days: int | None) -> datetime | None:
    if days is None:
        return None
    if not 0 < days <= _MAX_DAYS:
        raise RefusedCommand(f"--expires-in={days} is no number of days from 1 to {_MAX_DAYS}.")
    return (datetime.now(UTC) + timedelta(days=days)).replace(microsecond=0)


def _require_sense(text: str, directory: Path, otherwise: str) -> None:
    try:
        parse(text, directory)
    except InvalidAccessFile as error:
        raise RefusedCommand(f"{otherwise}: {error}.") from None


def _add(file: Path, text: str, give: Callable[[], None]) -> None:
    """Adds the stanza to the access file, whose content must make sense before and after.

    The token is given in between: one that nobody got to see would be of no use there.
    """
    with _alone(file):
        _append(file, text, give)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Else the later one of two commands would put back what the earlier one read."""
    with ExitStack() as stack:
        try:
            directory = os.open(os.path.dirname(os.path.realpath(file)), os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, directory)
            flock(directory, LOCK_EX)
        except OSError as error:
            raise RefusedCommand(
                f"The access file {str(file)!r} cannot be locked ({error.strerror})."
            ) from None
        yield


def _append(file: Path, text: str, give: Callable[[], None]) -> None:
    try:
        before = file.read_text("utf-8")
    except FileNotFoundError:
        before = ""
    except OSError as error:
        raise RefusedCommand(f"The access file {str(file)!r} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise RefusedCommand(f"The access file {str(file)!r} is not in UTF-8.") from None
    after = f"{before.rstrip()}\n\n{text}".lstrip()
    _require_sense(after, file.parent, f"The access file {str(file)!r} cannot be used with this token")
    beside = None
    try:
        beside = _written_beside(file.resolve(), after)
        give()
        beside.replace(file.resolve())
    except OSError as error:
        raise RefusedCommand(f"The access file {str(file)!r} cannot be written ({error.strerror}).") from None
    finally:
        if beside is not None:
            beside.unlink(missing_ok=True)


def _written_beside(file: Path, text: str) -> Path:
    """A new file, so that the old one changes at once: whoever reads it meanwhile sees all or nothing."""
    descriptor, name = mkstemp(prefix=f"{file.name}.", dir=file.parent)
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            if file.exists():
                status = file.stat()
                os.fchmod(descriptor, status.st_mode & 0o777)
                os.fchown(descriptor, status.st_uid, status.st_gid)
            opened.write(text)
            opened.flush()
            os.fsync(descriptor)
    except OSError:
        beside.unlink()
        raise
    return beside


def _give(file: Path | None, token: str) -> None:
    if file is None:
        _show(f"{token}\n")
    else:
        _keep(file, token)


def _show(text: str) -> None:
    if sys.stdout is None:
        raise RefusedCommand("What was made cannot be shown: the standard output is closed.")
    try:
        print(text, end="", flush=True)
    except OSError as error:
        raise RefusedCommand(f"What was made cannot be shown ({error.strerror}).") from None


def _keep(file: Path, token: str) -> None:
    """Writes the token to a new file."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise RefusedCommand(
            f"The token file {str(file)!r} cannot be made ({error.strerror}); name a new one."
        ) from None
    try:
        with os.fdopen(descriptor, "w") as opened:
            opened.write(token + "\n")
    except OSError as error:
        file.unlink()
        raise RefusedCommand(f"The token file {str(file)!r} cannot be written ({error.strerror}).") from None
