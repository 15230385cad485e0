"""nginx asks over connections that it has kept, and gives them up before the servers would."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.nginx import Nginx
from tests.support.recorder import Recorder, recording
from tests.support.waiting import wait_until

UPSTREAMS = pytest.mark.parametrize(
    ("template", "path"),
    [
        ("nginx.conf", "/v1/artifacts/a"),
        ("nginx-migration.conf", "/api/2.0/mlflow-artifacts/artifacts/a"),
        ("nginx-migration.conf", "/get-artifact"),
    ],
    ids=["artifacts", "artifacts that have moved", "tracking server"],
)
"""A path of each."""
KEPT = {"nginx.conf": "keepalive_timeout 60s;", "nginx-migration.conf": "keepalive_timeout 3s;"}
"""What keeps idle connections for as long as that."""

StartBefore = Callable[..., Nginx]


@pytest.fixture
def start(start_nginx: Callable[..., Nginx]) -> StartBefore:
    """Starts nginx with that configuration and `behind` for all its upstreams."""

    def started(behind: Recorder, template: str, **options: object) -> Nginx:
        tracking = urlsplit(behind.url).netloc
        nginx = start_nginx(behind.url, template=template, TRACKING_SERVER=tracking, **options)
        behind.asked.clear()
        return nginx

    return started


@UPSTREAMS
def test_requests_share_a_connection(
    client: httpx.Client, start: StartBefore, template: str, path: str
) -> None:
    with recording() as behind:
        nginx = start(behind, template)
        for _ in range(5):
            assert client.get(nginx.url + path).status_code == 204
        assert len(behind.asked) == 5
        assert len({asked.connection for asked in behind.asked}) == 1


@UPSTREAMS
def test_an_idle_connection_is_closed(
    client: httpx.Client, start: StartBefore, template: str, path: str
) -> None:
    with recording() as behind:
        nginx = start(behind, template, replaced={KEPT[template]: "keepalive_timeout 100ms;"})
        assert client.get(nginx.url + path).status_code == 204
        wait_until(lambda: not behind.open, "the end of the connection")
