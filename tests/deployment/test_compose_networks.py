"""Who reaches whom in docker-compose.yml, with MinIO and with SeaweedFS."""

from __future__ import annotations

from typing import Any

import yaml

from app.server.process import Patience
from app.server.supervisor import MARGIN_SECONDS
from app.settings import settings_class
from tests.support.compose import project, published
from tests.support.dockerfile import ROOT


def test_nginx_alone_is_shown_and_to_this_machine_alone(all_services: dict[str, dict[str, Any]]) -> None:
    ports = {name: published(service) for name, service in all_services.items() if service.get("ports")}
    assert ports == {"nginx": {("127.0.0.1", "8080", 8080), ("127.0.0.1", "5001", 5000)}}


def test_the_network_of_nginx_is_the_tracking_servers_and_the_maker_of_secrets_has_none(
    all_services: dict[str, dict[str, Any]],
) -> None:
    modes = {name: service.get("network_mode") for name, service in all_services.items()}
    expected = dict.fromkeys(all_services) | {"mlflow": "service:nginx", "secrets": "none"}
    assert modes == expected


def test_the_network_of_the_store_is_reached_from_the_servers_alone(
    variant: tuple[str, ...], all_services: dict[str, dict[str, Any]]
) -> None:
    members = {name: set(service.get("networks") or {}) for name, service in all_services.items()}
    assert {name: networks for name, networks in members.items() if networks} == {
        "store": {"storage"},
        "store-setup": {"storage"},
        "artifact-proxy": {"storage", "front"},
        "nginx": {"front"},
    }
    networks = project(variant)["networks"]
    assert {name: network.get("internal", False) for name, network in networks.items()} == {
        "storage": True,
        "front": False,
    }


def test_the_servers_are_at_the_address_that_nginx_asks_whatever_an_operator_sets(
    all_services: dict[str, dict[str, Any]],
) -> None:
    written = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["artifact-proxy"]
    fixed = {"ARTIFACT_PROXY_HOST": "0.0.0.0", "ARTIFACT_PROXY_PORT": "5500"}  # noqa: S104 - in a container
    assert fixed.items() <= written["environment"].items(), "a file of settings has no precedence over it"
    asked = all_services["nginx"]["environment"]["ARTIFACT_PROXY_SERVERS"]
    assert asked == "server artifact-proxy:5500 resolve;"


def test_there_are_two_replicas_and_all_may_finish_their_transfers(
    all_services: dict[str, dict[str, Any]],
) -> None:
    assert all_services["artifact-proxy"]["deploy"]["replicas"] == 2
    assert {all_services[name]["stop_grace_period"] for name in ("artifact-proxy", "nginx")} == {"1m15s"}
    settings = settings_class().model_fields
    patience = Patience(settings["drain_delay"].default, settings["drain_timeout"].default)
    assert patience.whole + MARGIN_SECONDS <= 75
