"""TLS in docker-compose.yml, by the two blocks that docs/operations.md has for that, word for word."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.compose import MINIO, check_out, published, read
from tests.support.composed import nginx_container
from tests.support.dockerfile import ROOT
from tests.support.private_authority import PrivateAuthority

OVERRIDE = "docker-compose.override.yml"


@pytest.fixture
def nginx(tmp_path: Path) -> dict[str, Any]:
    """The service in a checkout in which somebody has done what the page says."""
    page = (ROOT / "docs" / "operations.md").read_text("utf-8").partition("**TLS**")[2]
    (commands, override) = re.findall(r"^```(?:sh|yaml)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    check_out(tmp_path)
    subprocess.run(["sh", "-ec", commands], cwd=tmp_path, check=True)
    (tmp_path / OVERRIDE).write_text(override)
    found = read(tmp_path, (*MINIO, OVERRIDE))["services"]
    service: dict[str, Any] = found["nginx"]
    return service


def test_the_port_of_https_is_the_one_that_nginx_listens_on(nginx: dict[str, Any]) -> None:
    listens = int(nginx["environment"]["NGINX_TLS_LISTEN"])
    assert [(port, inside) for _, port, inside in published(nginx) if port == "443"] == [("443", listens)]


@pytest.mark.usefixtures("need_containers")
def test_nginx_takes_the_configuration_with_a_certificate(
    nginx: dict[str, Any], tmp_path: Path, authority: PrivateAuthority
) -> None:
    tls = tmp_path / "tls"
    tls.mkdir()
    for file in (authority.certificate_file, authority.key_file):
        (tls / file.name).write_bytes(file.read_bytes())
    container = nginx_container(nginx, tmp_path / "container", tmp_path)
    made = (tmp_path / "container" / "nginx.conf").read_text()
    assert re.search(rf"^ +listen {nginx['environment']['NGINX_TLS_LISTEN']} ssl ", made, re.MULTILINE)
    with container.running(*nginx["command"], "-t") as tried:
        assert tried.process.wait(20) == 0, tried.log()
        assert "test is successful" in tried.log()
    (tls / "tls.key").write_text("")
    refused = container.run(*nginx["command"], "-t")
    assert "tls.key" in refused.stderr, "the certificate is not looked at"
