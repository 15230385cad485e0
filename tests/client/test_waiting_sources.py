"""What is uploaded while it is still being written, or is not there at all."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from io import FileIO
from pathlib import Path

import pytest

from artifact_proxy import ArtifactError, Client
from tests.support.patched import ROOT
from tests.support.server import Server, clean_environment

PIECES = [b"first ", b"second ", b"third"]


class Impatient(FileIO):
    """A pipe at which nobody waits; it tells when it had nothing to give."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "rb")
        self.was_empty = threading.Event()

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        if piece is None:
            self.was_empty.set()
        return piece


def test_a_pipe_that_does_not_block_is_waited_for(server: Server, remote: Client, folder: str) -> None:
    source, sink = os.pipe()
    os.set_blocking(source, False)
    pipe = Impatient(source)

    def write() -> None:
        for piece in PIECES:
            pipe.was_empty.wait()
            pipe.was_empty.clear()
            os.write(sink, piece)
        pipe.was_empty.wait()
        os.close(sink)

    writer = threading.Thread(target=write, daemon=True)  # it waits for nothing where nobody asks twice
    writer.start()
    with pipe:
        entry = remote.put(pipe, f"{folder}/a")
    assert (server.root / folder / "a").read_bytes() == b"".join(PIECES)
    assert entry.size == len(b"".join(PIECES))


@pytest.mark.parametrize(
    ("changed", "size"), [("grown", 0), ("grown", 10), ("grown", 700_000), ("touched", 700_000)]
)
def test_a_file_that_is_written_meanwhile_is_not_stored_in_part(
    server: Server, remote: Client, folder: str, place: Path, size: int, changed: str
) -> None:
    file = place / "a.log"
    file.write_bytes(bytes(size))

    class Growing(FileIO):
        """It has changed as soon as somebody has read of it."""

        def read(self, size: int | None = -1, /) -> bytes:
            piece = super().read(size)
            if changed == "grown":
                with file.open("ab") as log:
                    log.write(b"more")
            else:
                os.utime(file, ns=(0, 0))
            return piece

    with Growing(file) as growing, pytest.raises(ArtifactError, match="changed while it was sent"):
        remote.put(growing, f"{folder}/a")
    assert not (server.root / folder / "a").exists()


@pytest.mark.parametrize("redirection", ["<&-", "0>/dev/null"])
def test_a_standard_input_that_is_closed_is_an_error(
    server: Server, folder: str, place: Path, redirection: str
) -> None:
    made = subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", sys.executable, "-m", "app", "put", "-", f"{folder}/a"],
        env=clean_environment() | {"ARTIFACT_PROXY_SERVER": server.url, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 1
    assert not (server.root / folder).exists()


def test_an_empty_standard_input_is_stored(server: Server, folder: str, place: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "app", "put", "-", f"{folder}/a"],
        env=clean_environment() | {"ARTIFACT_PROXY_SERVER": server.url, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        check=True,
    )
    assert (server.root / folder / "a").read_bytes() == b""
