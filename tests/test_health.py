"""python -m app.health: green where the server of this environment answers, red and a reason where not."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from app import health
from tests.support.ports import free_ports
from tests.support.server import Server, clean_environment

pytestmark = pytest.mark.usefixtures("no_variables")

Judged = Callable[..., tuple[int, str]]


@pytest.fixture
def judged(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Judged:
    """Gives the check's exit status with these variables, and what it says."""

    def check(**variables: object) -> tuple[int, str]:
        with monkeypatch.context() as patched:
            for name, value in variables.items():
                patched.setenv(name, str(value))
            status = health.main()
        written = capsys.readouterr()
        assert written.out == ""
        assert written.err.count("\n") == status, "a reason, and only where there is one"
        return status, written.err

    return check


@contextmanager
def answering(answer: bytes | None, host: str = "127.0.0.1") -> Iterator[int]:
    """A port where each connection is told this, and with None left waiting."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connected, _ = listener.accept()
            except OSError:
                return  # it is shut down
            held.append(connected)
            if answer is not None:
                connected.recv(10_000)
                connected.sendall(answer)
                connected.close()

    with socket.create_server((host, 0), family=family) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connected in held:
                connected.close()


def port_of(server: Server) -> int:
    port = urlsplit(server.url).port
    assert port
    return port


def said(status: int, reason: str = "") -> bytes:
    return b"HTTP/1.1 %d %b\r\nContent-Length: 0\r\n\r\n" % (status, reason.encode())


@pytest.mark.parametrize("host", ["", "127.0.0.1", "0.0.0.0", "localhost"])  # noqa: S104 - only asked
def test_a_server_that_answers_is_healthy_under_each_name_of_its_address(
    judged: Judged, server: Server, host: str
) -> None:
    assert judged(ARTIFACT_PROXY_HOST=host, ARTIFACT_PROXY_PORT=port_of(server)) == (0, "")


@pytest.mark.parametrize("host", ["::", "::1"])
def test_a_server_on_the_addresses_of_ipv6_is_asked_there(judged: Judged, host: str) -> None:
    with answering(said(200), "::1") as port:
        assert judged(ARTIFACT_PROXY_HOST=host, ARTIFACT_PROXY_PORT=port) == (0, "")


def test_the_address_may_stand_in_the_variables_of_mlflow_where_ours_are_empty(
    judged: Judged, server: Server
) -> None:
    port = port_of(server)
    theirs = {"MLFLOW_HOST": "127.0.0.1", "MLFLOW_PORT": port}
    assert judged(**theirs) == judged(**theirs, ARTIFACT_PROXY_PORT="") == (0, "")
    assert judged(**theirs, ARTIFACT_PROXY_HOST="127.0.0.2")[0] == 1


def test_without_variables_the_default_address_is_asked(
    judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    class Refusing(HTTPConnection):
        def connect(self) -> None:
            asked.append((self.host, self.port))
            raise ConnectionRefusedError

    monkeypatch.setattr(health, "HTTPConnection", Refusing)
    assert judged()[0] == 1
    assert asked == [("127.0.0.1", 5500)]


def test_a_port_where_nobody_listens_is_unhealthy(judged: Judged) -> None:
    [port] = free_ports(1)
    status, reason = judged(ARTIFACT_PROXY_PORT=port)
    assert status == 1
    assert f"127.0.0.1 port {port} does not answer" in reason


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"\x00\xff\n" * 10, b"HTTP/1.1 twenty\r\n"]
)
def test_what_speaks_no_http_is_unhealthy(judged: Judged, answer: bytes) -> None:
    with answering(answer) as port:
        status, reason = judged(ARTIFACT_PROXY_PORT=port)
    assert status == 1
    assert "does not answer" in reason


@pytest.mark.parametrize("status", [204, 307, 404, 500, 503])
def test_any_other_answer_than_200_is_unhealthy(judged: Judged, status: int) -> None:
    with answering(said(status)) as port:
        outcome, reason = judged(ARTIFACT_PROXY_PORT=port)
    assert outcome == 1
    assert f"answers {status}" in reason


def test_a_server_that_accepts_and_never_answers_is_unhealthy_after_a_while(
    judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 0 < health._SECONDS < 5, "less than the container engine gives it"
    monkeypatch.setattr(health, "_SECONDS", 0.1)
    with answering(None) as port:
        status, reason = judged(ARTIFACT_PROXY_PORT=port)
    assert status == 1
    assert "timed out" in reason


@pytest.mark.parametrize("port", ["http", "0", "-1", "65536", "80.5", "tcp://10.0.0.7:5500", "9" * 5000])
def test_a_port_that_is_none_is_explained(judged: Judged, port: str) -> None:
    status, reason = judged(ARTIFACT_PROXY_PORT=port)
    assert status == 1
    assert repr(port) in reason
    assert "set ARTIFACT_PROXY_PORT to one from 1 to 65535" in reason


@pytest.mark.parametrize("host", ["a..b", "a" * 70, "a b"])
def test_a_host_that_is_none_is_explained(judged: Judged, host: str) -> None:
    status, reason = judged(ARTIFACT_PROXY_HOST=host, ARTIFACT_PROXY_PORT=1)
    assert status == 1
    assert f"artifact-proxy at {host} port 1 does not answer: " in reason


def test_a_container_engine_sees_the_exit_status(server: Server) -> None:
    for port, expected in ((port_of(server), 0), (free_ports(1)[0], 1)):
        environment = clean_environment() | {"ARTIFACT_PROXY_PORT": str(port)}
        done = subprocess.run([sys.executable, "-m", "app.health"], env=environment, check=False)
        assert done.returncode == expected


def test_it_imports_nothing_that_takes_long() -> None:
    script = "import sys, app.health; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    imported = {name.partition(".")[0] for name in done.stdout.split()}
    assert "app" in imported
    assert imported.isdisjoint(
        {"fastapi", "starlette", "uvicorn", "pydantic", "boto3", "botocore", "asyncio"}
    )
    assert "app.config" not in done.stdout.split()
