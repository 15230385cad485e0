"""The end of a server process: what it still does after the signal, and that nothing can hold it up."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx

from tests.support.guarded import audited
from tests.support.patched import patched
from tests.support.raw import connection, exchange, head, read_answer
from tests.support.server import Server, start, stop
from tests.support.transfers import slow_transfers
from tests.support.waiting import wait_until

CONTENT = bytes(300_000)
VERSION = head("GET", "/version")


def test_without_a_delay_only_what_is_on_its_way_is_answered(serve: Callable[..., Server]) -> None:
    server = serve()
    with (
        slow_transfers(server.url, {"a": CONTENT}, []) as transfers,
        connection(server.url) as idle,
        connection(server.url) as fresh,
    ):
        idle.sendall(VERSION)
        assert "connection" not in read_answer(idle).headers
        wait_until(server.staged, "the upload has begun")
        server.process.send_signal(signal.SIGTERM)
        assert idle.recv(1) == b""
        fresh.sendall(VERSION)  # the server has accepted the connection before
        assert read_answer(fresh).headers["connection"] == "close"
        assert fresh.recv(1) == b""
        transfers.go_on()
        assert transfers.uploads[0].status() == 201
        assert server.process.wait(20) == 0
    assert server.tree() == {"a": CONTENT}


def test_a_request_that_waits_for_its_turn_is_aborted_as_others_are(serve: Callable[..., Server]) -> None:
    server = serve("--max-transfers", "1", "--admission-timeout", "600", "--drain-timeout", "0.1")
    with (
        slow_transfers(server.url, {"a": CONTENT}, []) as transfers,
        connection(server.url) as waiting,
    ):
        wait_until(server.staged, "the upload has begun")
        waiting.sendall(head("PUT", "/v1/artifacts/b", "Content-Length: 1") + b"b")
        exchange(server.url, VERSION)  # by now it waits
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        assert transfers.uploads[0].status() is None
        with suppress(ConnectionResetError):
            assert waiting.recv(1) == b""
    assert "Aborting 2 requests" in server.log()
    assert "Traceback" not in server.log()
    assert (server.tree(), server.staged()) == ({}, [])


def test_a_storage_that_hangs_is_not_waited_for_and_no_line_of_a_log_is_lost(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    environment = patched(
        tmp_path / "patch",
        "import threading",
        "import app.server.process",
        "import app.storage.local.upload",
        "app.server.process.ABORT_SECONDS = 1",
        "app.storage.local.upload.LocalUpload.commit = lambda upload: threading.Event().wait()",
    )
    audit_log = tmp_path / "audit.log"
    server = serve("--audit-log", str(audit_log), "--drain-timeout", "0.1", **environment)
    with connection(server.url) as hanging:
        hanging.sendall(head("PUT", "/v1/artifacts/a", "Content-Length: 1") + b"a")
        wait_until(server.staged, "the upload has begun")
        httpx.get(f"{server.native}/missing")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
    assert "Ending, although the storage still hangs" in server.log().splitlines()[-1]
    assert [line["path"] for line in audited(audit_log) if line["event"] == "request"] == ["missing"]
    assert server.tree() == {}


def test_a_signal_during_the_start_ends_it_in_order(tmp_path: Path) -> None:
    log_file = tmp_path / "log"
    with log_file.open("wb") as log:
        process = start(tmp_path / "root", log=log)
    try:
        wait_until(lambda: " serves " in log_file.read_text(), "the start")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        stop(process)
    assert "Traceback" not in log_file.read_text()
