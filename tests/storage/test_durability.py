"""The order of system calls in which an upload becomes durable, as the kernel sees it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

UPLOAD = """
import os, sys
from app.paths import ArtifactPath
from app.storage.local import LocalSettings, open_storage
root, durability, name = sys.argv[1:]
storage = open_storage(root, LocalSettings(durability=durability), read_only=False)
storage.check()
os.write(1, b"opened")
with storage.create(ArtifactPath.parse(name)) as upload:
    upload.write(b"data")
    upload.commit()
os.write(1, b"acknowledged")
"""
CALLS = "fsync,fdatasync,rename,renameat,renameat2,mkdir,mkdirat,write"


def trace(strace: str, root: Path, durability: str, name: str) -> list[str]:
    """The traced calls of one upload to its acknowledgement, descriptors shown with their paths."""
    log = root.with_name("strace.log")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    subprocess.run(
        [
            strace,
            "-f",
            "-y",
            "-e",
            f"trace={CALLS}",
            "-o",
            log,
            sys.executable,
            "-c",
            UPLOAD,
            root,
            durability,
            name,
        ],
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    lines = [re.sub(r"^\d+ +", "", line) for line in log.read_text().splitlines()]
    start, end = (position(lines, rf'^write\(1<.*"{word}"') for word in ("opened", "acknowledged"))
    return [line for line in lines[start:end] if str(root) in line] + [lines[end]]


def position(calls: list[str], pattern: str) -> int:
    found = [number for number, call in enumerate(calls) if re.search(pattern, call)]
    assert len(found) == 1, (pattern, calls)
    return found[0]


def test_bytes_are_synced_before_the_name_and_every_name_before_the_answer(
    root: Path, need: Callable[[str], str]
) -> None:
    calls = trace(need("strace"), root, "full", "new/deeper/a")
    written = position(calls, r'^write\(\d+<.*/staging/\w+>, "data"')
    file_synced = position(calls, r"^fsync\(\d+<.*/staging/\w+>")
    made = [position(calls, rf'^mkdirat\(\d+<\S+>, "{name}"') for name in ("new", "deeper")]
    made_synced = [position(calls, rf"^fsync\(\d+<{re.escape(str(at))}>\)") for at in (root, root / "new")]
    renamed = position(calls, r'^rename\w*\(.*, "a"')
    name_synced = position(calls, rf"^fsync\(\d+<{re.escape(str(root))}/new/deeper>\)")
    acknowledged = position(calls, "acknowledged")
    assert written < file_synced < renamed < name_synced < acknowledged
    for mkdir, fsync in zip(made, made_synced, strict=True):
        assert mkdir < fsync < acknowledged


def test_a_directory_that_was_there_is_synced_once_for_a_new_name(
    root: Path, need: Callable[[str], str]
) -> None:
    (root / "d").mkdir(parents=True)
    calls = trace(need("strace"), root, "full", "d/a")
    assert position(calls, r'^rename\w*\(.*, "a"') < position(
        calls, rf"^fsync\(\d+<{re.escape(str(root))}/d>\)"
    )


def test_without_durability_nothing_is_synced(root: Path, need: Callable[[str], str]) -> None:
    calls = trace(need("strace"), root, "none", "new/a")
    assert position(calls, r'^rename\w*\(.*, "a"') < position(calls, "acknowledged")
    assert not [call for call in calls if "sync" in call]
