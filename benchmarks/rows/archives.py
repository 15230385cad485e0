"""Folders at once, as archives: many small artifacts, and one that is very large. No other peer has that."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from http.client import HTTPResponse
from itertools import chain
from typing import Any

import httpx

from benchmarks import long_member, members, rss
from benchmarks.content import WrongTransfer, pieces
from benchmarks.exchange import Exchanged, fetch, send
from benchmarks.names import ARCHIVES, ArchiveKind, Figure, Figures
from benchmarks.peers import Peer, artifact_proxy
from benchmarks.roots import LocalRoot, check
from benchmarks.rows.memory import idle
from benchmarks.stage import Row, Stage

_MIB = 1024**2
_MANY = 100_000
_LARGE = 10 * 1024**3
_CONTENT = 1
_FOLDER = "folder"


class _Measurement:
    """Archives of both kinds in turns; and what a worker needs for each, beyond what it had idle."""

    def __init__(self, stage: Stage, root: LocalRoot) -> None:
        (self._peer,) = stage.peers
        self._stage = stage
        self._folder = root.directory / _FOLDER
        self._workers = rss.workers(self._peer.process)
        self._idle = idle(self._workers, self._warm_up)
        stage.result.notes.append(f"{self._idle / _MIB:.0f} MiB idle")

    def _warm_up(self, client: httpx.Client) -> None:
        for kind in ARCHIVES:
            url = self._peer.folder("warm-up", kind)
            client.put(url, content=members.archived(kind, 1)).raise_for_status()
            client.get(url).raise_for_status()
        client.delete(self._peer.url("warm-up")).raise_for_status()

    def get_many(self) -> None:
        count = self._stage.scaled(_MANY)
        members.fill(self._folder, count)

        def get(url: str, kind: ArchiveKind) -> Figures:
            fetched: Exchanged[bytes] = self._stage.clients.apply(fetch, (url, HTTPResponse.read))
            members.compare_archive(kind, fetched.taken, count)
            figures = ARCHIVES[kind]
            return {
                figures.artifacts: count / fetched.seconds,
                figures.first_byte: fetched.waited * 1000,
            }

        self._measure(get)

    def get_large(self) -> None:
        size = self._stage.scaled(_LARGE)
        self._folder.mkdir()
        self._stage.root.store(f"{_FOLDER}/{long_member.NAME}", size, _CONTENT)
        checksum = long_member.crc(size, _CONTENT)

        def get(url: str, kind: ArchiveKind) -> Figures:
            compare = partial(long_member.compare, kind, size, _CONTENT, checksum)
            fetched: Exchanged[None] = self._stage.clients.apply(fetch, (url, compare))
            figures = ARCHIVES[kind]
            return {
                figures.speed: size / fetched.seconds / 1e6,
                figures.first_byte: fetched.waited * 1000,
            }

        self._measure(get)

    def put_many(self) -> None:
        count = self._stage.scaled(_MANY)
        archives = {kind: members.archived(kind, count) for kind in ARCHIVES}

        def put(url: str, kind: ArchiveKind) -> Figures:
            archive = archives[kind]
            sent = self._stage.clients.apply(send, (url, len(archive), [archive]))
            members.compare_folder(self._folder, count)
            self._remove(sent, count, count * members.MEMBER_BYTES)
            return {ARCHIVES[kind].artifacts: count / sent.seconds}

        self._measure(put)

    def put_large(self) -> None:
        size = self._stage.scaled(_LARGE)
        around = {kind: long_member.around(kind, size, _CONTENT) for kind in ARCHIVES}

        def put(url: str, kind: ArchiveKind) -> Figures:
            sent = self._stage.clients.apply(_send_large, (url, around[kind], size))
            check(self._stage.root, f"{_FOLDER}/{long_member.NAME}", size, _CONTENT)
            self._remove(sent, 1, size)
            return {ARCHIVES[kind].speed: size / sent.seconds / 1e6}

        self._measure(put)

    def _remove(self, sent: Exchanged[Any], artifacts: int, size: int) -> None:
        """What is kept; raises `WrongTransfer` unless the answer told of just that."""
        if sent.taken != {"path": _FOLDER, "artifacts": artifacts, "size": size}:
            raise WrongTransfer(f"the answer told of {sent.taken}, not of {artifacts} artifacts")
        shutil.rmtree(self._folder)

    def _measure(self, exchange: Callable[[str, ArchiveKind], Figures]) -> None:
        def measure(peer: Peer) -> Figures:
            found: dict[Figure, float] = {}
            for kind, figures in ARCHIVES.items():
                with rss.watched(self._workers) as peak:
                    found.update(exchange(peer.folder(_FOLDER, kind), kind))
                found[figures.peak] = (peak.bytes - self._idle) / _MIB
            return found

        self._stage.among_peers(measure)


def _send_large(url: str, around: long_member.Around, size: int) -> Exchanged[Any]:
    whole = chain([around.head], pieces(size, _CONTENT), [around.tail])
    return send(url, len(around.head) + size + len(around.tail), whole)


def _row(name: str, title: str, measure: Callable[[_Measurement], None], costs: int, room: int) -> Row:
    def on(stage: Stage) -> None:
        assert isinstance(stage.root, LocalRoot)
        measure(_Measurement(stage, stage.root))

    return Row(
        f"archive-{name}", f"{title}, local root", "local", (artifact_proxy,), on,
        costs=costs, room=room, most_runs=3,
    )  # fmt: skip


_OF_MANY = "an archive of 100 000 artifacts of 100 bytes"
_OF_ONE = "an archive of one artifact of 10 GiB"
ROWS = [
    _row("get-many", f"GET {_OF_MANY}", _Measurement.get_many, 60, 2 * 1024**3),
    _row("put-many", f"PUT {_OF_MANY}", _Measurement.put_many, 240, 2 * 1024**3),
    _row("get-large", f"GET {_OF_ONE}", _Measurement.get_large, 120, _LARGE),
    _row("put-large", f"PUT {_OF_ONE}", _Measurement.put_large, 240, _LARGE),
]
