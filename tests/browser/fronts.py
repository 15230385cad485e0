"""A reverse proxy of a few lines, which shows a server at another place or names its callers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.nginx import started
from tests.support.ports import free_ports
from tests.support.server import Address

_CONFIGURATION = """
pid {directory}/nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 0;
        location {location} {{
            proxy_pass {target};
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
            {directives}
        }}
    }}
}}
"""


@contextmanager
def fronted_at(directory: Path, sub_path: str, server_url: str, *directives: str) -> Iterator[Address]:
    """nginx that shows the server below `sub_path`, unknown to the server, with more `directives`."""
    directory.mkdir(parents=True)
    (port,) = free_ports(1)
    file = directory / "nginx.conf"
    # A slash after the address is what makes nginx take the location off.
    location, target = f"{sub_path}/", f"{server_url}/"
    text = _CONFIGURATION.format(
        directory=directory, port=port, location=location, target=target, directives="; ".join(directives)
    )
    file.write_text(text)
    url = f"http://127.0.0.1:{port}{sub_path}"
    with started(file, url, directory / "nginx.log"):
        yield Address(url)
