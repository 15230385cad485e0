"""Caddy and Traefik on free ports, with exactly the configurations that docs/reverse-proxies.md shows."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.support.ports import free_ports
from tests.support.private_authority import PrivateAuthority
from tests.support.programs import installed
from tests.support.server import Address, clean_environment, stop
from tests.support.waiting import wait_until
from tests.support.wire import Wire

PROGRAMS = ("caddy", "traefik")
_PAGE = (Path(__file__).parent.parent.parent / "docs" / "reverse-proxies.md").read_text("utf-8")


@dataclass(frozen=True)
class Front(Address):
    client: httpx.Client
    """Trusts its certificate."""


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
    page = _edited(_PAGE, tls=authority is not None, strip=strip)
    if program == "caddy":
        arguments = _write_caddyfile(page, directory)
    else:
        arguments = _write_traefik_files(page, directory, port, addresses)
    trust = ssl.create_default_context(cafile=authority.ca_file) if authority else True
    url = f"{'https' if authority else 'http'}://127.0.0.1:{port}{sub_path}"
    log_file = directory / "log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [installed(program), *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=clean_environment() | environment,
        )

    def ready() -> bool:
        assert process.poll() is None, log_file.read_text()
        with suppress(httpx.TransportError):
            return client.get(f"{url}/health").status_code == 200
        return False

    try:
        with httpx.Client(timeout=60, verify=trust) as client:
            wait_until(ready, f"an answer of {program}")
            yield Front(url, client)
    finally:
        stop(process)


def _edited(text: str, *, tls: bool, strip: bool) -> str:
    text = text.replace("#tls ", "") if tls else text
    return text.replace("#strip ", "") if strip else text


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def _write_caddyfile(page: str, directory: Path) -> list[str]:
    (text,) = _blocks(page, "caddyfile")
    file = directory / "Caddyfile"
    file.write_text(text)
    return ["run", "--config", str(file)]


def _write_traefik_files(page: str, directory: Path, port: int, addresses: list[str]) -> list[str]:
    static, dynamic = _blocks(page, "yaml")
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


@dataclass
class Upstream:
    """A server whose answers are written by hand, to see how a proxy behaves meanwhile."""

    url: str
    close: Callable[[], None]
    """Ends it; connections are refused from then on."""
    asked: list[str] = field(default_factory=list)
    """The targets of all requests but the checks of health."""


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
            if target.endswith(("/health", "/ready")):
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
