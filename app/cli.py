"""The command `artifact-proxy`: reads Settings, runs uvicorn."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import Any, Literal, get_args, get_origin

import uvicorn
from pydantic.fields import FieldInfo

from app import __version__, config, logs, token_command
from app.api.headers import SECURITY_HEADERS
from app.api.pace import Pace
from app.errors import ArtifactError
from app.fields import known_as
from app.main import open_app
from app.preparation import open_fit, opened_audit_log, prepared_root, require_guarded, require_traceable
from app.server import descriptors
from app.server.connections import Connections, CountedProtocol
from app.server.process import Patience, Server
from app.server.supervisor import Supervisor
from app.settings import Settings, settings_class

_BACKLOG = 2048
_STANDARD_OUTPUT = 1


def main(argv: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if argv is None else argv
    if given[:1] == ["token"]:
        return token_command.main(given[1:])
    arguments = vars(_parser().parse_args(given))
    command = arguments.pop("command")
    config_file = arguments.pop("config") or os.environ.get(config.CONFIG_VARIABLE) or None
    try:
        loaded = config.load(arguments, config_file)
        if command == "config":
            print(loaded.printed())
            return 0
        if command == "check":
            return _check(loaded)
        return _serve(loaded)
    except config.ConfigurationError as error:
        print(f"artifact-proxy: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="artifact-proxy",
        description="Serves artifacts over HTTP from one artifact root, to MLflow clients and all others.",
        epilog="Each value is taken from the first that has one: the flag, the ARTIFACT_PROXY_... "
        "variable, MLflow's or AWS's own variable, the configuration file, the default. What clients use is "
        "`artifact-proxy put`, get, ls, cat, rm, stat, url and completion; see `artifact-proxy ls --help`.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument(
        "command",
        nargs="?",
        choices=("serve", "check", "config"),
        default="serve",
        help="serve (the default); check: try the artifact root out, and say what is missing; config: print "
        "the effective configuration and its origins; token new: make a token, see `artifact-proxy token new "
        "--help`",
    )
    parser.add_argument("--version", action="version", version=f"artifact-proxy {__version__}")
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=None,
        help=f"TOML file with any of the settings below as keys, with '_' for '-' [{config.CONFIG_VARIABLE}]",
    )
    for name, field in settings_class().model_fields.items():
        _add_flag(parser, name, field)
    return parser


def _add_flag(parser: argparse.ArgumentParser, name: str, field: FieldInfo) -> None:
    variables = [config.variable_name(name), *known_as(field)]
    flags = [config.flag_name(name)]
    if name == "default_artifact_root":
        flags.append("--artifacts-destination")
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    metavar = "{" + ",".join(choices) + "}" if choices else name.rpartition("_")[2].upper()
    options: dict[str, Any] = {"metavar": metavar}
    if field.annotation is bool and "no_" not in name:
        options = {"action": argparse.BooleanOptionalAction}
    elif field.annotation is bool:
        options = {"action": "store_true"}
    if name.startswith("no_"):
        # The negation of --no-delete would read as a riddle.
        opposite = flags[0].replace("--no-", "--allow-")
        parser.add_argument(opposite, dest=name, action="store_false", help=f"the opposite of {flags[0]}")
    # A zero is a value.
    default = str(field.default).lower() if isinstance(field.default, int) else field.default or "none"
    help_text = f"{field.description} (default: {default}) [{', '.join(variables)}]"
    parser.add_argument(*flags, dest=name, help=help_text.replace("%", "%%"), **options)


def _serve(loaded: config.Loaded) -> int:
    settings = loaded.settings
    require_guarded(loaded)
    require_traceable()
    with opened_audit_log(loaded), _listen(settings) as listener:
        root = prepared_root(loaded)
        _announce(f"artifact-proxy {__version__} serves {root} at {_url(listener, settings)}\n")
        with _signals_held():
            return _run(loaded, _server_config(settings, root), listener)


def _announce(line: str) -> None:
    """Whether anybody takes it or not. In the buffer of `print` it would be in the way at the exit again."""
    with suppress(OSError):
        os.write(_STANDARD_OUTPUT, os.fsencode(line))


def _server_config(settings: Settings, root: str) -> uvicorn.Config:
    wanted = {"transfers": settings.max_transfers, "connections": settings.max_connections}
    shares = descriptors.shares(descriptors.raise_limit(), threads=settings.storage_threads, **wanted)
    effective = {"default_artifact_root": root, "max_transfers": shares.transfers}
    server_config = uvicorn.Config(
        partial(open_app, settings.model_dump() | effective),
        factory=True,
        loop="uvloop",
        http=partial(
            CountedProtocol,
            connections=Connections(shares.connections, settings.static_prefix),
            max_target=settings.max_target_size,
            max_head=settings.max_header_size,
            pace=Pace(settings.min_transfer_rate, settings.transfer_patience),
        ),  # type: ignore[arg-type]  # it takes whatever makes a protocol, and says that it takes classes
        ws="none",
        workers=settings.workers,
        access_log=False,  # `app.api.records` does that
        log_config=logs.configuration(settings.log_format),
        timeout_keep_alive=settings.keep_alive,
        server_header=False,
        date_header=False,  # its is that of the head of a request; see `app.api.visits`, `app.server.refusal`
        proxy_headers=False,  # `app.api.forwarded` does that
        headers=[*SECURITY_HEADERS.items()],
    )
    shares.tell(**wanted)  # only now there is a log
    return server_config


@contextmanager
def _signals_held() -> Iterator[None]:
    """Until there is a server to take them. The threads and processes that are made in it inherit that."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(loaded: config.Loaded, server_config: uvicorn.Config, listener: socket.socket) -> int:
    """Serves until a signal ends it; gives the exit status."""
    patience = Patience(loaded.settings.drain_delay, loaded.settings.drain_timeout)
    if server_config.workers == 1:
        server = Server(server_config, patience)
        server.run([listener])
        return 0 if server.started else 1
    try:
        supervisor = Supervisor(server_config, listener, patience)
    except OSError as error:
        raise loaded.refused(
            "workers",
            f"several need a directory for what they count together ({error.strerror}); set TMPDIR to one",
        ) from None
    return supervisor.run()


def _url(listener: socket.socket, settings: Settings) -> str:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}{settings.static_prefix}"


def _check(loaded: config.Loaded) -> int:
    """Tries the root out, step by step, for whoever sets it up; gives the exit status."""
    with closing(open_fit(loaded)) as storage:
        print(f"Checking {storage.url}")
        try:
            for step in storage.rehearse():
                print(f"  ok: {step}", flush=True)
        except ArtifactError as error:
            print(f"  failed: {error.__cause__ or error}", file=sys.stderr)
            return 1
    print("The artifact root can be used.")
    return 0


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise config.ConfigurationError(
            f"Cannot listen on --host {settings.host!r} --port {settings.port}: {error.strerror}; "
            "choose another address or port, or stop what uses it."
        ) from None
    listener.set_inheritable(True)
    return listener
