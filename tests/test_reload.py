"""SIGHUP: another access file holds at once, in every worker, and no transfer is cut for it."""

from __future__ import annotations

import asyncio
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.audit import AuditLog
from app.identity.identities import Identities
from app.reload import reloading
from tests.support.access import access_file, issuer_stanza, proxy_header_stanza, rule, token_stanza
from tests.support.event_loop import run, until
from tests.support.guarded import audited, guarded
from tests.support.oidc import AUDIENCE, JWKS, providing, rsa_key
from tests.support.raw import connection, exchange, head, read_answer
from tests.support.server import Server, start, stop
from tests.support.waiting import wait_until

SIZE = 40_000_000
DONE = "The access file was reloaded."
FAILED = "The access file was not reloaded, and the old one holds: "


class Reloaded:
    """A server, and the access file that it has."""

    def __init__(self, server: Server, directory: Path, workers: int) -> None:
        self.server = server
        self.directory = directory
        self.workers = workers

    def reload(self, *stanzas: str, outcome: str = DONE) -> None:
        """Has the server read a file of these stanzas, and waits until each worker has."""
        access_file(self.directory, *stanzas)
        self.signal(outcome)

    def signal(self, outcome: str) -> None:
        before = self.server.log().count(outcome)
        self.server.process.send_signal(signal.SIGHUP)
        wait_until(
            lambda: self.server.log().count(outcome) == before + self.workers, "each worker has read the file"
        )

    def statuses(self, token: str) -> set[int]:
        """What the workers say to a caller with this token."""
        # Each over a connection of its own, which another worker may get.
        return {self.status("/version", token) for _ in range(6)}

    def status(self, target: str, token: str) -> int:
        return exchange(self.server.url, head("GET", target, f"Authorization: Bearer {token}")).status

    def audited(self) -> list[str]:
        lines = audited(self.directory / "audit.log")
        return [line["outcome"] for line in lines if line["event"] == "reload"]


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reloaded]:
    directory = tmp_path_factory.mktemp("reload")
    flags = ["--workers", str(request.param), "--audit-log", str(directory / "audit.log")]
    with guarded(directory, token_stanza("first", "all:")[1], flags=flags) as server:
        (server.root / "large").write_bytes(bytes(SIZE))
        started = "Application startup complete."
        wait_until(lambda: server.log().count(started) == request.param, "each worker has started")
        yield Reloaded(server, directory, request.param)


@pytest.fixture
def known(shared: Reloaded) -> Iterator[Reloaded]:
    yield shared
    assert shared.server.process.poll() is None
    assert "Traceback" not in shared.server.log()
    assert "Waiting for child process" not in shared.server.log()


def test_a_new_token_is_taken_and_a_removed_one_is_not(known: Reloaded) -> None:
    (old, old_stanza), (new, new_stanza) = (token_stanza(name, "all:") for name in ("old", "new"))
    known.reload(old_stanza)
    assert (known.statuses(old), known.statuses(new)) == ({200}, {401})
    known.reload(old_stanza, new_stanza)
    assert (known.statuses(old), known.statuses(new)) == ({200}, {200})
    known.reload(new_stanza)
    assert (known.statuses(old), known.statuses(new)) == ({401}, {200})


def test_other_permissions_hold_at_once_for_the_same_token(known: Reloaded) -> None:
    token, stanza = token_stanza("ci", "read:")
    known.reload(stanza)
    assert known.status("/v1/artifacts/", token) == 403
    known.reload(stanza.replace("read:", "list:"))
    assert known.status("/v1/artifacts/", token) == 200


def test_transfers_that_are_running_go_on(known: Reloaded, folder: str) -> None:
    (old, old_stanza), (_, new_stanza) = (token_stanza(name, "all:") for name in ("old", "new"))
    known.reload(old_stanza)
    url, authorization = known.server.url, f"Authorization: Bearer {old}"
    with connection(url) as upload, connection(url) as download:
        upload.sendall(head("PUT", f"/v1/artifacts/{folder}/a", authorization, "Content-Length: 8") + b"half")
        download.sendall(head("GET", "/v1/artifacts/large", authorization, "Connection: close"))
        received = len(download.recv(1000))
        wait_until(known.server.staged, "the upload has begun")
        known.reload(new_stanza)
        assert known.statuses(old) == {401}
        upload.sendall(b"full")
        assert read_answer(upload).status == 201
        while data := download.recv(1 << 20):
            received += len(data)
    assert received > SIZE
    assert known.server.tree()[f"{folder}/a"] == b"halffull"


def test_a_file_that_cannot_be_used_changes_nothing(known: Reloaded) -> None:
    token, stanza = token_stanza("ci", "all:")
    known.reload(stanza)
    for broken in ("no toml", '[[tokens]]\nname = "x"\nsha256 = "canary-4711"\n'):
        known.reload(broken, outcome=FAILED)
        assert known.statuses(token) == {200}
    (known.directory / "access.toml").unlink()
    known.signal(outcome=FAILED)
    assert known.statuses(token) == {200}
    assert "canary" not in known.server.log()


@pytest.mark.parametrize("found", ["jwks_url", "by discovery"])
def test_a_key_that_the_issuer_has_withdrawn_is_not_accepted_any_longer(known: Reloaded, found: str) -> None:
    with providing(rsa_key()) as provider:
        settings = {"jwks_url": provider.url + JWKS} if found == "jwks_url" else {}
        stanza = issuer_stanza("corp", provider.url, AUDIENCE, rule("all:"), **settings)
        old, new = provider.token(), provider.token(rsa_key("second"))
        known.reload(stanza)
        assert (known.statuses(old), known.statuses(new)) == ({200}, {401})
        provider.keys = [rsa_key("second").jwk()]
        # What was fetched is kept, and nobody asks for it again so soon.
        assert (known.statuses(old), known.statuses(new)) == ({200}, {401})
        known.reload(stanza)
        assert (known.statuses(old), known.statuses(new)) == ({401}, {200})


def test_an_issuer_that_is_gone_from_the_file_vouches_for_nobody(known: Reloaded) -> None:
    with providing(rsa_key()) as provider:
        stanza = issuer_stanza("corp", provider.url, AUDIENCE, rule("all:"), jwks_url=provider.url + JWKS)
        token, other = provider.token(), token_stanza("ci", "all:")[1]
        for stanzas, status in ([stanza, other], 200), ([other], 401), ([stanza], 200):
            known.reload(*stanzas)
            assert known.statuses(token) == {status}


def test_host_names_are_judged_as_soon_as_a_proxy_is_believed(known: Reloaded) -> None:
    token, stanza = token_stanza("ci", "all:")
    proxy = proxy_header_stanza(["127.0.0.1"], rule("all:"))
    request = head("GET", "/version", f"Authorization: Bearer {token}")
    for stanzas, status in ([stanza], 200), ([stanza, proxy], 421), ([stanza], 200):
        known.reload(*stanzas)
        foreign = request.replace(b"Host: 127.0.0.1", b"Host: evil.example")
        assert {exchange(known.server.url, foreign).status for _ in range(6)} == {status}
        assert known.statuses(token) == {200}


def test_the_audit_log_has_each_outcome(known: Reloaded) -> None:
    before = len(known.audited())
    known.reload(token_stanza("ci", "all:")[1])
    known.reload("broken", outcome=FAILED)
    wait_until(lambda: len(known.audited()) >= before + 2 * known.workers, "all is written down")
    assert known.audited()[before:] == ["done"] * known.workers + ["failed"] * known.workers


def test_after_several_in_a_row_the_last_file_holds(known: Reloaded) -> None:
    made = [token_stanza(f"ci-{number}", "all:") for number in range(8)]
    for _, stanza in made:
        access_file(known.directory, stanza)
        known.server.process.send_signal(signal.SIGHUP)
    last, before_last = made[-1][0], made[-2][0]
    wait_until(
        lambda: known.statuses(last) == {200} and known.statuses(before_last) == {401}, "the last file holds"
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_during_the_start_does_no_harm_and_is_not_forgotten(tmp_path: Path, workers: int) -> None:
    token, stanza = token_stanza("new", "all:")
    file = access_file(tmp_path, token_stanza("old", "all:")[1])
    log_file = tmp_path / "log"
    flags = ("--workers", str(workers), "--access-file", str(file))
    with log_file.open("wb") as log:
        process = start(tmp_path / "root", *flags, log=log)
    try:
        wait_until(lambda: " serves " in log_file.read_text(), "the server starts")
        access_file(tmp_path, stanza)
        for _ in range(10):
            process.send_signal(signal.SIGHUP)
            time.sleep(0.05)
        found = re.search(r"http://\S+", log_file.read_text())
        assert found
        known = Reloaded(Server(found[0], tmp_path / "root", process, log_file), tmp_path, workers)
        wait_until(lambda: known.server.log().count("startup complete") == workers, "each worker has started")
        wait_until(lambda: known.statuses(token) == {200}, "the new file holds")
        assert "died" not in known.server.log()
    finally:
        stop(process)


class TestReloading:
    """The same in this process."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return access_file(tmp_path, token_stanza("ci", "all:")[1])

    def test_of_two_readings_the_later_one_holds(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        identities = Identities(str(file))
        goes_on = threading.Event()
        read: list[int] = []
        most: list[int] = []

        def reading() -> None:
            read.append(1)
            most.append(len(read))
            assert goes_on.wait(20)
            read.pop()

        monkeypatch.setattr(identities, "read", reading)

        async def main() -> None:
            with reloading(identities, AuditLog("")):
                signal.raise_signal(signal.SIGHUP)
                await until(lambda: most)
                signal.raise_signal(signal.SIGHUP)
                await asyncio.sleep(0.05)
                goes_on.set()
                await until(lambda: len(most) == 2 and not read)

        run(main())
        assert most == [1, 1]

    def test_afterwards_the_signal_does_what_it_did_before(self, file: Path) -> None:
        with _ignored():

            async def main() -> None:
                with reloading(Identities(str(file)), AuditLog("")):
                    assert signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
                assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN

            run(main())

    def test_outside_of_the_main_thread_nothing_is_reloaded(self, file: Path) -> None:
        entered = []

        async def main() -> None:
            with reloading(Identities(str(file)), AuditLog("")):
                entered.append(signal.getsignal(signal.SIGHUP))

        before = signal.getsignal(signal.SIGHUP)
        thread = threading.Thread(target=lambda: asyncio.run(main()))
        thread.start()
        thread.join()
        assert entered == [before]


@contextmanager
def _ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
