"""Uploads to local roots that meet a fault at one of their system calls, at each of them in turn.

Every upload has a process and a root of its own. One strace sees them all, and injects the fault at
the call of any kind that is the `TURN`-th of its process: so the process makes calls of that kind
which have no effect, until the one that is meant has this number.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

from app.storage.local import LocalSettings, LocalStorage, open_storage
from tests.support.artifacts import get, paths, put
from tests.support.server import clean_environment
from tests.support.strace import SystemCall, attached, read_calls

OLD, NEW = b"old", b"new"
ACKNOWLEDGED = "acknowledged"
TURN = 200
"""An upload makes fewer calls of any kind."""


_NAMED = re.compile(r'rename\w*\(.*<(?P<directory>[^<>]*)>, "(?P<name>[^"]*)".*\) = 0')


class Kind(NamedTuple):
    """Of upload. There is an artifact `a` before it."""

    names: tuple[str, ...]
    """Of the artifacts that are uploaded; several are a batch."""
    commits: bool
    """Or it is aborted when all is written."""


NEW_NAME = Kind(("new/a",), commits=True)
REPLACEMENT = Kind(("a",), commits=True)
ABORTED = Kind(("a",), commits=False)
KINDS = (NEW_NAME, REPLACEMENT, ABORTED)
BATCH = Kind(("new/a", "a"), commits=True)


class Upload(NamedTuple):
    kind: Kind
    root: Path
    said: str | None
    """`ACKNOWLEDGED`, or the name of the error; that of each where some of a batch have failed. None if the
    process died."""
    calls: list[SystemCall]
    fault: SystemCall | None
    """The call that met it, as it is without a fault."""

    def storage(self) -> LocalStorage:
        """Another one over the same root."""
        return open_storage(str(self.root), LocalSettings(), read_only=False)

    def before(self) -> dict[str, bytes]:
        """The artifacts that there were."""
        return {"a": OLD}

    def after(self) -> dict[str, bytes]:
        """The artifacts that there are when it was successful."""
        return {"a": OLD} | (dict.fromkeys(self.kind.names, NEW) if self.kind.commits else {})

    def found(self) -> dict[str, bytes]:
        """The artifacts that there are."""
        storage = self.storage()
        return {name: get(storage, name) for name in paths(storage)}

    def placed(self) -> dict[str, bytes]:
        """The artifacts that got their names, whatever came then."""
        named = filter(None, (_NAMED.search(call.text) for call in self.calls))
        places = [Path(found["directory"], found["name"]).relative_to(self.root) for found in named]
        return {str(place): NEW for place in places}

    def staged(self) -> list[str]:
        return os.listdir(self.root / ".artifact-proxy" / "staging")

    def left(self) -> int:
        """How many files of artifacts are in staging."""
        found = (self.root / ".artifact-proxy" / "staging").rglob("*")
        return sum(each.is_file() and each.name != "lock" for each in found)


class _Step(NamedTuple):
    call: SystemCall
    place: int
    """Among the calls of its kind in the process, counted from 1."""


class Uploader:
    def __init__(
        self, strace: str, process: subprocess.Popen[str], directory: Path, kinds: Sequence[Kind]
    ) -> None:
        self._strace = strace
        self._process = process
        self._directory = directory
        self._runs = count()
        without_faults = self._upload([(kind, None) for kind in kinds])
        assert {upload.said for upload in without_faults} == {ACKNOWLEDGED}
        self._steps = [(upload.kind, step) for upload in without_faults for step in _steps(upload.calls)]

    def at_each_call(self, fault: str, of: Callable[[SystemCall], bool] = lambda _: True) -> list[Upload]:
        """Uploads of all kinds, each with this fault, in strace's words, at another one of the calls `of`."""
        injection = f"inject=%file,%desc:{fault}:when={TURN}"
        return self._upload([(kind, step) for kind, step in self._steps if of(step.call)], "-e", injection)

    def _upload(self, wanted: Sequence[tuple[Kind, _Step | None]], *options: str) -> list[Upload]:
        assert self._process.stdin
        assert self._process.stdout
        directory = self._directory / str(next(self._runs))
        directory.mkdir()
        log = directory / "strace.log"
        cases = []
        for number, (kind, step) in enumerate(wanted):
            root = directory / str(number)
            _prepare(root)
            cases.append((str(root), *kind, step.call.kind if step else -1, step.place if step else 0))
        said = {}
        with attached(self._strace, self._process.pid, log, "-n", "-e", "trace=%file,%desc", *options):
            self._process.stdin.write(json.dumps(cases) + "\n")
            self._process.stdin.flush()
            while (line := self._process.stdout.readline()).startswith("said "):
                _, process, outcome = line.split()
                said[int(process)] = outcome
        calls: dict[int, list[SystemCall]] = {}
        for call in read_calls(log):
            calls.setdefault(call.process, []).append(call)
        return [
            Upload(kind, directory / str(number), said.get(process), calls[process], step and step.call)
            for number, ((kind, step), process) in enumerate(zip(wanted, json.loads(line), strict=True))
        ]


@contextmanager
def uploading(strace: str, directory: Path, kinds: Sequence[Kind] = KINDS) -> Iterator[Uploader]:
    # Not measured for coverage: that makes calls of its own.
    environment = {name: text for name, text in clean_environment().items() if not name.startswith("COV")}
    with subprocess.Popen(
        [sys.executable, "-c", _UPLOADS, str(TURN)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        yield Uploader(strace, process, directory, kinds)


def _prepare(root: Path) -> None:
    storage = open_storage(str(root), LocalSettings(durability="none"), read_only=False)
    put(storage, "a", OLD)


def _steps(calls: Sequence[SystemCall]) -> list[_Step]:
    """The calls of an upload that met no fault."""
    counted: Counter[int] = Counter()
    found = []
    for call in calls:
        counted[call.kind] += 1
        found.append(_Step(call, counted[call.kind]))
    assert max(counted.values()) < TURN
    (begin,) = (number for number, call in enumerate(calls) if "upload begins" in call.text)
    (end,) = (number for number, call in enumerate(calls) if '"said ' in call.text)
    return found[begin + 1 : end]


_UPLOADS = """
import ctypes, json, os, sys
from app.errors import ArtifactError
from app.paths import ArtifactPath
from app.storage.local import LocalSettings, open_storage

turn = int(sys.argv[1])
syscall = ctypes.CDLL(None).syscall

def upload(root, names, commits):
    storage = open_storage(root, LocalSettings(disk_reserve=0), read_only=False)
    os.path.exists("upload begins")
    try:
        if len(names) > 1:
            return upload_batch(storage, names)
        write(storage, names[0], commits)
        return "acknowledged"
    except ArtifactError as error:
        return type(error).__name__

def write(begun, name, commits=True):
    with begun.create(ArtifactPath.parse(name), size=3) as upload:
        upload.write(b"new")
        if commits:
            upload.commit()

def upload_batch(storage, names):
    with storage.batch() as batch:
        for name in names:
            write(batch, name)
        list(batch.judge())
        outcomes = {one.path: one for one in batch.publish()}  # the last word about each
    told = [type(one.error).__name__ if one.error else "acknowledged" for one in outcomes.values()]
    return ",".join(told) if len(set(told)) > 1 else told[0]

def attempt(root, names, commits, kind, place):
    for _ in range(turn - place if place else 0):
        syscall(kind, -1, 0, 0, 0, 0, 0)
    os.write(1, f"said {os.getpid()} {upload(root, names, commits)}\\n".encode())

for line in sys.stdin:
    processes = []
    for case in json.loads(line):
        process = os.fork()
        if not process:
            try:
                attempt(*case)
            finally:
                os._exit(0)
        os.waitpid(process, 0)
        processes.append(process)
    print(json.dumps(processes), flush=True)
"""
