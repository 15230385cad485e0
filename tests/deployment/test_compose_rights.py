"""What the services of docker-compose.yml may do and see, with MinIO and with SeaweedFS."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests.support.compose import FILES
from tests.support.dockerfile import ROOT


def test_no_service_has_a_right_but_those_of_a_user(all_services: dict[str, dict[str, Any]]) -> None:
    for name, service in all_services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "cap_add", "pid", "ipc", "devices"} & set(service), name


def test_secrets_are_seen_by_those_who_need_them_alone(all_services: dict[str, dict[str, Any]]) -> None:
    seen = {
        (name, mount["source"], mount.get("read_only", False))
        for name, service in all_services.items()
        for mount in service.get("volumes", [])
        if mount["source"].endswith("-secrets") or mount["source"] == "access"
    }
    assert seen == {
        ("secrets", "store-secrets", False),
        ("secrets", "proxy-secrets", False),
        ("secrets", "access", False),
        ("secrets", "client-secrets", False),
        ("secrets", "mlflow-secrets", False),
        ("store", "store-secrets", True),
        ("store-setup", "store-secrets", True),
        ("store-setup", "proxy-secrets", True),
        ("artifact-proxy", "proxy-secrets", True),
        ("artifact-proxy", "access", True),
        ("mlflow", "mlflow-secrets", True),
    }


def test_the_tracking_server_has_nothing_to_do_with_the_store(
    all_services: dict[str, dict[str, Any]],
) -> None:
    mlflow = all_services["mlflow"]
    assert set(mlflow["environment"]) <= {
        "HOME",
        "MLFLOW_SERVER_ALLOWED_HOSTS",
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS",
    }
    assert {mount["source"] for mount in mlflow["volumes"]} == {"mlflow-data", "mlflow-secrets"}
    text = re.sub(r"mlflow-secrets|/run/secrets/mlflow\b", "", yaml.safe_dump(mlflow))
    assert not re.search(r"s3|//store|secret|aws|9000", text, re.IGNORECASE)
    assert "--no-serve-artifacts" in mlflow["command"]


def test_no_secret_stands_in_a_file_or_variable(all_services: dict[str, dict[str, Any]]) -> None:
    suspicious = re.compile(r"KEY|SECRET|PASSW|TOKEN", re.IGNORECASE)
    for service in all_services.values():
        for name, value in service.get("environment", {}).items():
            assert not suspicious.search(name) or value == "" or name.endswith("_FILE"), name
    files = [*FILES, "Dockerfile", "config/compose/artifact-proxy.env"]
    text = "\n".join((ROOT / file).read_text() for file in files)
    for assigned in re.findall(
        r"^\s*(\w*(?:KEY|SECRET|PASSWORD|TOKEN)\w*)\s*[:=]\s*(\S.*)$", text, re.MULTILINE
    ):
        assert assigned[1].startswith(("${", "/run/secrets/")), assigned
