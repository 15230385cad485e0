"""Caddy and Traefik on free ports, with exactly the configurations that docs/reverse-proxies.md shows."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.support.ports import free_ports
from tests.support.private_authority import PrivateAuthority
from tests.support.server import clean_environment, stop
from tests.support.waiting import wait_until
from tests.support.wire import Wire

PROGRAMS = ("caddy", "traefik")
_PAGE = (Path(__file__).parent.parent.parent / "docs" / "reverse-proxies.md").read_text("utf-8")


@dataclass(frozen=True)
class Front:
    url: str
    """With the sub-path, without a final slash."""
    client: httpx.Client
    """Trusts its certificate."""

    @property
    def native(self) -> str:
        return f"{self.url}/v1/artifacts"


@contextmanager
def running_front(
    program: str,
    directory: Path,
    servers: Sequence[str],
    *,
    sub_path: str = "",
    strip: bool = False,
    authority: PrivateAuthority | None = None,
) -> Iterator[Front]:
    """The `program` before two `servers`, which are URLs; it is ready inside the block.

    With `authority` it speaks TLS only, and with `strip` it takes the sub-path off: both turned on in
    the way that the page's own words tell.
    """
    directory.mkdir(parents=True)
    (port,) = free_ports(1)
    addresses = [urlsplit(server).netloc for server in servers]
    write = _write_caddyfile if program == "caddy" else _write_traefik_files
    arguments = write(directory, port, addresses, _edited(authority, strip))
    # Programs of the development environment are beside its Python.
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    environment = {
        "ARTIFACT_PROXY_SERVERS": " ".join(addresses),
        "ARTIFACT_PROXY_STATIC_PREFIX": sub_path,
        "BIND_ADDRESS": "127.0.0.1",
        "PORT": str(port),
        "XDG_CONFIG_HOME": str(directory),
        "XDG_DATA_HOME": str(directory),
    }
    if authority:
        environment["TLS_CERTIFICATE"] = str(authority.certificate_file)
        environment["TLS_CERTIFICATE_KEY"] = str(authority.key_file)
    with _started(command, directory / "log", environment) as process:
        trust = ssl.create_default_context(cafile=authority.ca_file) if authority else True
        url = f"{'https' if authority else 'http'}://127.0.0.1:{port}{sub_path}"
        with httpx.Client(timeout=60, verify=trust) as client:
            _wait_until_ready(process, client, f"{url}/health", directory / "log")
            yield Front(url, client)


def _edited(authority: PrivateAuthority | None, strip: bool) -> Callable[[str], str]:
    def edited(text: str) -> str:
        text = text.replace("#tls ", "") if authority else text
        return text.replace("#strip ", "") if strip else text

    return edited


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", _PAGE, re.DOTALL)


def _write_caddyfile(
    directory: Path, port: int, addresses: list[str], edited: Callable[[str], str]
) -> list[str]:
    (text,) = _blocks("caddyfile")
    file = directory / "Caddyfile"
    file.write_text(edited(text))
    return ["run", "--config", str(file)]


def _write_traefik_files(
    directory: Path, port: int, addresses: list[str], edited: Callable[[str], str]
) -> list[str]:
    static, dynamic = map(edited, _blocks("yaml"))
    files = directory / "traefik.yml", directory / "artifact-proxy.yml"
    substitutes = {'":80"': f'"127.0.0.1:{port}"', f"/etc/traefik/{files[1].name}": str(files[1])}
    files[0].write_text(_substituted(static, substitutes))
    shown = [f"http://10.0.0.{number}:5500" for number in (1, 2)]
    actual = [f"http://{address}" for address in addresses]
    files[1].write_text(_substituted(dynamic, dict(zip(shown, actual, strict=True))))
    return [f"--configFile={files[0]}"]


def _substituted(text: str, substitutes: Mapping[str, str]) -> str:
    for shown, actual in substitutes.items():
        assert text.count(shown) == 1, shown
        text = text.replace(shown, actual)
    return text


@contextmanager
def _started(
    command: list[str], log_file: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=clean_environment() | dict(environment)
        )
    try:
        yield process
    finally:
        stop(process)


def _wait_until_ready(
    process: subprocess.Popen[bytes], client: httpx.Client, url: str, log_file: Path
) -> None:
    def ready() -> bool:
        assert process.poll() is None, log_file.read_text()
        with suppress(httpx.TransportError):
            return client.get(url).status_code == 200
        return False

    wait_until(ready, f"an answer of {url}")


@dataclass
class Upstream:
    """A server whose answers are written by hand, to see how a proxy behaves meanwhile."""

    url: str
    close: Callable[[], None]
    """Ends it; connections are refused from then on."""
    asked: list[str] = field(default_factory=list)
    """The targets of all requests but those for /health."""


Answer = Callable[[Wire], None]


@contextmanager
def upstream(answers: Mapping[str, Answer]) -> Iterator[Upstream]:
    """Answers a request for a target whose last segment is in `answers`, and is healthy.

    A connection serves one request.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def converse(accepted: socket.socket) -> None:
        with accepted, suppress(OSError):
            wire = Wire(accepted)
            head = wire.head()
            if not head:
                return  # a look whether somebody is there
            target = head.split()[1].decode()
            if target.endswith("/health"):
                accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK")
                return
            made.asked.append(target)
            answers[target.rsplit("/", 1)[-1]](wire)

    def accept() -> None:
        with suppress(OSError):
            while True:
                accepted, _ = listener.accept()
                threads.append(threading.Thread(target=converse, args=(accepted,)))
                threads[-1].start()

    def close() -> None:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()

    made = Upstream(f"http://127.0.0.1:{listener.getsockname()[1]}", close)
    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield made
    finally:
        close()
        accepting.join()
        for thread in threads:
            thread.join()
