"""Containers without an engine: the kernel's own means, as an engine would set them up. Needs root."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import wait_until

STOP_SECONDS = 20
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_LINKS = {"/dev/fd": "/proc/self/fd", "/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2"}


@dataclass(frozen=True)
class Mount:
    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True)
class Container:
    """A read-only root file system and a user without any right, in which commands are run.

    Of this machine it shows the system's programs, this Python, and what is mounted; the network is
    this machine's. It ends with the thread that started it, however that ends.
    """

    directory: Path
    """Of this container alone; nothing is written there but the log."""
    user: int
    variables: Mapping[str, str]
    mounts: Sequence[Mount] = ()
    memory: Sequence[str] = ()
    """Directories that anybody may write, and that are gone with the process."""

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs `command` to its end, as the first process."""
        return subprocess.run(self._started(command), capture_output=True, text=True, timeout=60)

    @contextmanager
    def running(self, *command: str) -> Iterator[Running]:
        """Starts `command` as the first process, and stops it in the end."""
        self.directory.mkdir(parents=True, exist_ok=True)
        log_file = self.directory / "log"
        with log_file.open("wb") as log:
            log_file.chmod(0o666)  # the engine gives its user the output, too
            process = subprocess.Popen(self._started(command), stdout=log, stderr=subprocess.STDOUT)
        running = Running(self, process, log_file)
        try:
            yield running
        finally:
            running.stop()

    def within(self, command: Sequence[str]) -> list[str]:
        """`command` with this user's rights and variables, in whatever file system it is started."""
        confined = (
            f"--reuid={self.user} --regid={self.user} --clear-groups --no-new-privs --bounding-set=-all"
        )
        variables = [f"{name}={value}" for name, value in self.variables.items()]
        # With another user, the kernel forgets what `unshare --kill-child` asked it for.
        confined += " --inh-caps=-all --pdeathsig=KILL"
        return ["setpriv", *confined.split(), "env", "-i", *variables, *command]

    def _started(self, command: Sequence[str]) -> list[str]:
        root = self.directory / "root"
        root.mkdir(parents=True, exist_ok=True)
        script = [
            "set -e",
            f"mount -t tmpfs -o mode=755 tmpfs {_quoted(root)}",
            *(f"mkdir -p {_quoted(root)}{place}" for place in ("/proc", "/dev")),
            *(f"ln -s {target} {_quoted(root)}{link}" for link, target in _LINKS.items()),
        ]
        for place in self.memory:
            target = _quoted(f"{root}{place}")
            script += [f"mkdir -p {target}", f"mount -t tmpfs -o mode=1777 tmpfs {target}"]
        for mount in [*_system(), *self.mounts]:
            target = _quoted(f"{root}{mount.target}")
            if mount.source.is_dir():
                script.append(f"mkdir -p {target}")
            else:
                script += [f"mkdir -p $(dirname {target})", f": >{target}"]
            script.append(f"mount --bind {_quoted(mount.source)} {target}")
            if not mount.writable:
                script.append(f"mount -o remount,bind,ro {target}")
        script += [
            f"mount -t proc -o ro proc {_quoted(root)}/proc",
            f"mount -o remount,ro {_quoted(root)}",
            f"exec chroot {_quoted(root)} {shlex.join(self.within(command))}",
        ]
        spaces = ["--mount", "--pid", "--kill-child"]
        return ["setpriv", "--pdeathsig=KILL", "unshare", *spaces, "sh", "-c", "\n".join(script)]


@dataclass
class Running:
    container: Container
    process: subprocess.Popen[bytes]
    """Waits for the container's first process, and ends with its status."""
    log_file: Path

    @property
    def first(self) -> int:
        """The first process, by the number that it has outside."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        wait_until(children.read_text, "the first process of the container")
        return int(children.read_text())

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a further process beside the first, as health checks are."""
        enter = ["nsenter", f"--target={self.first}", "--mount", "--pid", "--root", "--wd=/"]
        words = [*enter, *self.container.within(command)]
        return subprocess.run(words, capture_output=True, text=True, timeout=60)

    def status(self) -> dict[str, str]:
        """What the kernel says of the first process, by name."""
        lines = Path(f"/proc/{self.first}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def writable(self) -> list[str]:
        """Where a file system is mounted that is not read-only."""
        lines = Path(f"/proc/{self.first}/mountinfo").read_text().splitlines()
        mounts = [line.split() for line in lines]
        return [fields[4] for fields in mounts if "ro" not in fields[5].split(",")]

    def terminate(self) -> None:
        """Tells the first process to end, as the engine does."""
        os.kill(self.first, signal.SIGTERM)

    def kill(self) -> None:
        """For one whose data nobody needs, and that takes long to end."""
        os.kill(self.first, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
                raise

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")


def _system() -> Iterator[Mount]:
    """This machine's programs, and those of this Python."""
    prefixes = {sys.base_prefix, str(Path(sys.base_prefix).resolve())}
    places = [*_SYSTEM, *_DEVICES, *sorted(prefixes)]
    for place in dict.fromkeys(places):
        if Path(place).exists() and not place.startswith("/usr/"):
            yield Mount(Path(place).resolve(), place)


def _quoted(path: Path | str) -> str:
    return shlex.quote(str(path))
