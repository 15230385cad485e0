"""The manifests for Kubernetes, judged by its schemas, and held against the image and the server."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate
import pytest
import yaml

from app import __version__, config
from app.api.readiness import PATIENCE_SECONDS
from app.identity.access_file import load
from app.server.process import Patience
from app.settings import settings_class
from tests.support.dockerfile import ROOT, stages
from tests.support.programs import installed
from tests.support.server import Server
from tests.support.usage import PER_CONNECTION

FILE = ROOT / "config" / "kubernetes" / "artifact-proxy.yaml"
RESOURCES: dict[str, Any] = {
    resource["kind"]: resource for resource in yaml.safe_load_all(FILE.read_text("utf-8"))
}
DEPLOYMENT = RESOURCES["Deployment"]["spec"]
POD = DEPLOYMENT["template"]["spec"]
(CONTAINER,) = POD["containers"]
VARIABLES: dict[str, str] = RESOURCES["ConfigMap"]["data"]
MIB = 1024 * 1024
AT_REST = 100 * MIB
"""What one process has, as docs/operations.md says."""


def test_a_deployment_comes_with_account_settings_service_policy_budget_and_autoscaler() -> None:
    assert set(RESOURCES) == {
        "ServiceAccount",
        "ConfigMap",
        "Deployment",
        "Service",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "HorizontalPodAutoscaler",
    }


@pytest.mark.parametrize("version", ["1.30.0", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("kind", list(RESOURCES))
def test_every_resource_is_valid_to_the_letter(kind: str, version: str) -> None:
    kubernetes_validate.validate(RESOURCES[kind], version, strict=True)


def test_the_schemas_refuse_a_misspelt_key() -> None:
    misspelt = RESOURCES["Service"] | {"spec": {"selecter": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(misspelt, kubernetes_validate.latest_version(), strict=True)


def test_all_select_the_pods_of_the_deployment() -> None:
    labels = DEPLOYMENT["template"]["metadata"]["labels"]
    assert DEPLOYMENT["selector"]["matchLabels"] == labels
    assert RESOURCES["Service"]["spec"]["selector"] == labels
    assert RESOURCES["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert RESOURCES["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    (spread,) = POD["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == labels
    target = RESOURCES["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", RESOURCES["Deployment"]["metadata"]["name"])
    assert POD["serviceAccountName"] == RESOURCES["ServiceAccount"]["metadata"]["name"]


def test_the_autoscaler_alone_decides_on_the_number_and_keeps_more_than_the_budget_wants() -> None:
    assert "replicas" not in DEPLOYMENT
    scaling, budget = RESOURCES["HorizontalPodAutoscaler"]["spec"], RESOURCES["PodDisruptionBudget"]["spec"]
    assert scaling["minReplicas"] > budget["minAvailable"]


def test_the_pod_is_confined() -> None:
    assert POD["automountServiceAccountToken"] is False
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_user_port_and_version_are_those_of_the_image() -> None:
    user, group = POD["securityContext"]["runAsUser"], POD["securityContext"]["runAsGroup"]
    image = stages()[-1]
    assert image.the("USER").text == f"{user}:{group}"
    (port,) = CONTAINER["ports"]
    assert image.assigned("ENV", {"PATH": ""})["ARTIFACT_PROXY_PORT"] == str(port["containerPort"])
    assert CONTAINER["image"].endswith(f":{__version__}")
    (served,) = RESOURCES["Service"]["spec"]["ports"]
    assert served["targetPort"] == port["name"]


def test_nobody_but_the_ingress_reaches_the_pods_at_their_one_port() -> None:
    policy = RESOURCES["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    (rule,) = policy["ingress"]
    assert [list(peer) for peer in rule["from"]] == [["namespaceSelector"]]
    assert rule["ports"] == [{"port": CONTAINER["ports"][0]["name"]}]


def test_a_service_of_the_same_name_does_not_configure_the_server() -> None:
    assert POD["enableServiceLinks"] is False


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_every_probe_asks_for_what_the_server_answers(
    server: Server, client: httpx.Client, probe: str
) -> None:
    asked = CONTAINER[probe]["httpGet"]
    assert asked["port"] == CONTAINER["ports"][0]["name"]
    assert client.get(server.url + asked["path"]).status_code == 200


@pytest.fixture
def settings(no_variables: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Those of a server in a pod."""
    for name, value in VARIABLES.items():
        assert isinstance(value, str), f"{name} must be quoted: Kubernetes takes nothing but text"
        monkeypatch.setenv(name, value)
    return config.load({}, None).settings


def test_the_server_takes_the_variables(settings: Any) -> None:
    (references,) = [source["configMapRef"] for source in CONTAINER["envFrom"] if "configMapRef" in source]
    assert references["name"] == RESOURCES["ConfigMap"]["metadata"]["name"]
    known = {config.variable_name(name): name for name in settings_class().model_fields}
    for name, value in VARIABLES.items():
        taken = str(getattr(settings, known[name])).removesuffix(".0")
        assert taken.casefold() == value.casefold()


def test_what_a_server_may_need_is_within_the_limit_of_memory(settings: Any) -> None:
    assert settings.max_connections, "there are as many as descriptors allow"
    budgets = settings.s3_upload_memory + settings.transfer_memory
    each = AT_REST + budgets + settings.max_connections * PER_CONNECTION
    limit = re.fullmatch(r"(\d+)Gi", CONTAINER["resources"]["limits"]["memory"])
    assert limit
    assert settings.workers * each <= int(limit[1]) * 1024 * MIB


def test_no_pod_starts_without_the_access_file_that_its_head_tells_how_to_make() -> None:
    head = FILE.read_text("utf-8").partition("---")[0]
    (volume,) = POD["volumes"]
    assert volume["secret"] == {"secretName": "artifact-proxy-access"}, "it is not optional"
    (mount,) = CONTAINER["volumeMounts"]
    assert (mount["name"], mount["readOnly"], "subPath" in mount) == (volume["name"], True, False)
    made = re.search(r"kubectl create secret generic (\S+) --from-file=(\S+)$", head, re.MULTILINE)
    assert made
    assert made[1] == volume["secret"]["secretName"]
    assert VARIABLES["ARTIFACT_PROXY_ACCESS_FILE"] == f"{mount['mountPath']}/{made[2]}"
    assert "ARTIFACT_PROXY_INSECURE_NO_AUTH" not in VARIABLES


def test_the_line_for_a_token_makes_the_access_file(tmp_path: Path) -> None:
    head = FILE.read_text("utf-8").partition("---")[0]
    (line,) = re.findall(r"^#   artifact-proxy (token new .*)$", head, re.MULTILINE)
    subprocess.run([installed("artifact-proxy"), *shlex.split(line)], cwd=tmp_path, check=True)
    load(tmp_path / "access.toml")
    token = (tmp_path / "token").read_text().strip()
    assert token not in (tmp_path / "access.toml").read_text()


def test_no_secret_stands_in_the_manifests() -> None:
    assert "Secret" not in RESOURCES
    assert not any(re.search("KEY|SECRET|TOKEN|PASSWORD", name) for name in VARIABLES)


def test_a_pod_that_ends_has_time_to_drain() -> None:
    delay, timeout = (float(VARIABLES[f"ARTIFACT_PROXY_DRAIN_{name}"]) for name in ("DELAY", "TIMEOUT"))
    assert delay > 0, "its proxies hear of the end when it does"
    assert POD["terminationGracePeriodSeconds"] > Patience(delay, timeout).whole


def test_who_is_not_ready_gets_no_requests_and_is_not_killed_for_it() -> None:
    assert CONTAINER["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert CONTAINER["readinessProbe"]["timeoutSeconds"] > PATIENCE_SECONDS
    assert CONTAINER["livenessProbe"]["httpGet"]["path"] == "/health"
