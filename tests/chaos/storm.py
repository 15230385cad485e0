"""Rounds of load and faults over one root, each followed by calm, and by a look at everything."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.chaos.bodies import Torn, number_of
from tests.chaos.clients import Client
from tests.chaos.ledger import Ledger, Outcome, Write
from tests.chaos.register import ABSENT
from tests.chaos.replicas import END_SECONDS, START_SECONDS, Held, Replica, stopping
from tests.chaos.roots import Root
from tests.support.ports import free_ports
from tests.support.waiting import comes_true

KILLED, WORKER_KILLED, ENDED, PAUSED = "server killed", "worker killed", "server ended", "server paused"
CLIENTS = 6
_KEYS = ("a", "b", "c", "one/d", "two/three/e")
_STORAGE_THREADS = 8
_OTHER_THREADS = 36
"""As many as asyncio makes for other work, as it needs them, on a few processors."""
_ARGUMENTS = (
    *("--storage-threads", str(_STORAGE_THREADS)),
    *("--sweep-interval", "0.5"),
    *("--drain-timeout", "3"),
    *("--keep-alive", "1"),
)
_STALL_SECONDS = 60
_SWEEP_SECONDS = 30


class Storm:
    """The first of the replicas is never killed, nor does it end."""

    def __init__(self, root: Root, replicas: Sequence[Replica], chance: random.Random) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        """What should never be, told for people."""
        self._root = root
        self._replicas = replicas
        self._chance = chance
        self._rounds = 0
        for replica in replicas:
            assert replica.await_ready(), replica.log()
        self._held_before = self._held()

    def round(self, faults: Sequence[str], every: int) -> None:
        """Injects these faults, each after about `every` further operations, and judges all that was seen."""
        self._rounds += 1
        directory = f"round-{self._rounds}"
        ledger = Ledger([f"{directory}/{key}" for key in _KEYS], repeats=self._root.repeats)
        clients = [
            Client(ledger, directory, self._replicas, self._fork(), self._root.dies_with_server)
            for _ in range(CLIENTS)
        ]
        over = threading.Event()
        with ThreadPoolExecutor(CLIENTS) as pool, ThreadPoolExecutor() as injectors:
            running = [pool.submit(client.work, over) for client in clients]
            try:
                for fault in faults:
                    self._await_operations(ledger, self._chance.randrange(1, 2 * every), running)
                    running.append(self._inject(fault, injectors))
                self._await_operations(ledger, every, running)
            finally:
                over.set()
        for done in running:
            done.result()
        for replica in self._replicas:
            self._require_ready(replica, "the storm")
        self._root.calm()
        self._judge(ledger, clients[0])

    def _fork(self) -> random.Random:
        return random.Random(self._chance.random())  # noqa: S311 - no secret

    def _await_operations(self, ledger: Ledger, count: int, running: Sequence[Future[None]]) -> None:
        enough = ledger.operations + count

        def is_over() -> bool:
            return ledger.operations >= enough or any(one.done() and one.exception() for one in running)

        assert comes_true(is_over, _STALL_SECONDS), f"no {count} answers in {_STALL_SECONDS} s"

    def _inject(self, fault: str, injectors: ThreadPoolExecutor) -> Future[None]:
        """Begins the fault as soon as there is a server to which nothing else happens."""
        if fault in self._root.faults:
            self.counts[fault] += 1
            return injectors.submit(self._root.faults[fault], self._fork())
        candidates = [*self._replicas] if fault == PAUSED else [*self._replicas[1:]]
        if fault == WORKER_KILLED:
            candidates = [replica for replica in candidates if replica.workers > 1]
        assert candidates, f"there is no server for: {fault}"
        self._chance.shuffle(candidates)
        while True:
            for replica in candidates:
                if replica.busy.acquire(blocking=False):
                    return injectors.submit(self._befall, replica, fault, self._fork())
            time.sleep(0.01)

    def _befall(self, replica: Replica, fault: str, chance: random.Random) -> None:
        """Returns when it is over: a server that was killed serves again then."""
        try:
            time.sleep(chance.uniform(0, 0.05))  # so that it comes at no particular moment
            if fault == PAUSED:
                replica.pause(chance.uniform(0.1, 0.8))
            elif fault == WORKER_KILLED and replica.is_complete():
                replica.kill_worker(chance)
            elif fault == ENDED:
                if not replica.end():
                    self._complain(
                        "senseless", f"{replica.name} did not end in {END_SECONDS} s after SIGTERM"
                    )
            else:
                fault = KILLED
                replica.kill()
            self.counts[fault] += 1
            if fault != WORKER_KILLED:
                self._require_ready(replica, fault)
        finally:
            replica.busy.release()

    def _require_ready(self, replica: Replica, after: str) -> None:
        if not replica.await_ready():
            what = f"{replica.name}, {START_SECONDS} s after: {after}"
            self._complain("unavailable", f"{what}\n{replica.log()}")
            replica.kill()
            assert replica.await_ready(), f"{replica.name}, started anew:\n{replica.log()}"

    def _judge(self, ledger: Ledger, client: Client) -> None:
        """Looks at all keys, through every replica and behind their backs; deletes them, and looks again."""
        calm = time.monotonic()
        self._look(ledger, client)
        self._look_behind(ledger)
        deletions = [Write(key, ABSENT) for key in ledger.keys]
        self._chance.choice(self._replicas).delete(client.directory)
        for deletion in deletions:
            ledger.wrote(deletion, "all", Outcome.ACKNOWLEDGED, time.monotonic)
        self._look(ledger, client)
        ledger.judge(calm)
        self.counts.update(ledger.counts)
        self.wrong += ledger.wrong

    def _look(self, ledger: Ledger, client: Client) -> None:
        for replica in self._replicas:
            seen = [client.see_whole(replica, key) for key in ledger.keys]
            if not all([*seen, client.see_listing(replica)]):
                ledger.complain("unavailable", f"{replica.name}, after the storm")

    def _look_behind(self, ledger: Ledger) -> None:
        invoked = time.monotonic()
        seen = dict.fromkeys(ledger.keys, ABSENT)
        for path, data in self._root.artifacts().items():
            if path not in seen:
                ledger.complain("left over", path)
                continue
            try:
                seen[path] = number_of(data)
            except Torn as error:
                ledger.complain("torn", f"{path}, behind the servers' backs: {error}")
        ledger.saw("look behind", self._root.name, invoked, seen)

    def finish(self) -> None:
        """Complains of what is left over, in the root and in the server that was there all the time."""
        left = [*_what_stays(self._root.leftovers), *self._root.artifacts(), *_what_stays(self._leaks)]
        for what in left:
            self._complain("left over", what)

    def _complain(self, kind: str, what: str) -> None:
        self.counts[kind] += 1
        self.wrong.append(f"{kind}: {what}")

    def _held(self) -> Held:
        return Held.by(self._replicas[0].process.pid, self._root.store_port)

    def _leaks(self) -> list[str]:
        held, before = self._held(), self._held_before
        threads = before.threads + _STORAGE_THREADS + _OTHER_THREADS + self._root.pools
        found = []
        if held.descriptors > before.descriptors:
            found.append(f"{held.descriptors} descriptors where there were {before.descriptors}")
        if held.threads > threads:
            found.append(f"{held.threads} threads where there can be {threads} for work")
        return found


def _what_stays(find: Callable[[], list[str]]) -> list[str]:
    """What is found for so long that nobody can be about to remove it."""
    deadline = time.monotonic() + _SWEEP_SECONDS
    while (found := find()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


@contextmanager
def storm(
    root: Root, directory: Path, *, workers: Sequence[int] = (1, 1), seed: str = "chaos"
) -> Iterator[Storm]:
    """Over replicas with so many workers each, whose logs are in `directory`."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    arguments = (*_ARGUMENTS, *root.arguments)
    with ExitStack() as stack:
        replicas = []
        for number, (count, port) in enumerate(zip(workers, free_ports(len(workers)), strict=True), 1):
            log_file = directory / f"{root.name}-{number}.log"
            replica = Replica(
                f"replica {number}", root.url, arguments, port, root.environment, log_file, count
            )
            stack.enter_context(stopping(replica))
            replicas.append(replica)
        yield Storm(root, replicas, chance)
