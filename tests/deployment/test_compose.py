"""docker-compose.yml with MinIO and with SeaweedFS, as they are written; no container is started.

MinIO comes only as an image, which needs a container engine; tests/deployment/test_compose_native.py starts
what is there with SeaweedFS.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from app import __version__
from tests.support.compose import (
    FILES,
    LOCAL,
    MINIO,
    SEAWEEDFS,
    VARIANTS,
    mounted,
    project,
    published,
    services,
)
from tests.support.dockerfile import ROOT, stages
from tests.support.programs import installed

LASTING = {"store", "artifact-proxy", "nginx", "mlflow"}
ONCE = {"secrets", "store-setup"}
HEALTHY, DONE = "service_healthy", "service_completed_successfully"
ORDER = [
    ("store", "secrets", DONE),
    ("artifact-proxy", "secrets", DONE),
    ("store-setup", "store", HEALTHY),
    ("artifact-proxy", "store-setup", DONE),
    ("nginx", "artifact-proxy", HEALTHY),
    ("mlflow", "nginx", HEALTHY),
]


def test_the_files_and_what_they_are_together_is_what_the_compose_specification_allows(
    tmp_path: Path,
) -> None:
    judged_files = [tmp_path / name for name in FILES]
    for file in judged_files:
        # A tag of Compose itself, which the judge cannot read.
        file.write_text((ROOT / file.name).read_text().replace("!reset null", "{condition: service_started}"))
    for number, files in enumerate((MINIO, SEAWEEDFS, LOCAL)):
        together = tmp_path / f"{number}.json"
        together.write_text(json.dumps(project(files, ("mlflow", "store"))))
        judged_files.append(together)
    judged = subprocess.run(
        [installed("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", *judged_files],
        capture_output=True,
        text=True,
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_without_the_profile_there_is_no_tracking_server(variant: tuple[str, ...]) -> None:
    assert set(services(variant, ())) == LASTING - {"mlflow"} | ONCE
    assert set(services(variant)) == LASTING | ONCE


class TestVariables:
    def test_that_are_not_set_all_have_a_value(self) -> None:
        for file in FILES:
            used = re.findall(r"\$\{[^}]*\}?", (ROOT / file).read_text().replace("${VARIABLE}", ""))
            assert [name for name in used if ":-" not in name] == []

    def test_that_are_set_are_seen_wherever_they_matter(self, variant: tuple[str, ...]) -> None:
        found = services(
            variant,
            ARTIFACT_PROXY_REPLICAS="5",
            ARTIFACT_PROXY_STATIC_PREFIX="/sub/path",
            BIND_ADDRESS="10.1.2.3",
            HTTP_PORT="8888",
            MAX_ARTIFACT_SIZE="7g",
            TRACKING_PORT="5999",
            TRACKING_ALLOWED_HOSTS="mlflow.example:5999",
            TRACKING_ALLOWED_ORIGINS="http://mlflow.example:5999",
            PUBLIC_URL="https://artifacts.example",
            STORE_ACCESS_KEY="given",
        )
        assert found["artifact-proxy"]["deploy"]["replicas"] == 5
        nginx = found["nginx"]
        assert nginx["environment"]["MAX_ARTIFACT_SIZE"] == "7g"
        assert nginx["environment"]["NGINX_LISTEN"] == "8888"
        assert published(nginx) == {("10.1.2.3", "8888", 8888), ("10.1.2.3", "5999", 5000)}
        health = "http://127.0.0.1:8888/sub/path/health"
        assert nginx["healthcheck"]["test"][-1] == health
        assert found["mlflow"]["healthcheck"]["test"][-2:] == ["http://127.0.0.1:5010/health", health]
        prefixes = {
            found[name]["environment"]["ARTIFACT_PROXY_STATIC_PREFIX"] for name in ("nginx", "artifact-proxy")
        }
        assert prefixes == {"/sub/path"}
        place = "https://artifacts.example/sub/path/api/2.0/mlflow-artifacts/artifacts"
        assert f"--default-artifact-root={place}" in found["mlflow"]["command"]
        told = found["mlflow"]["environment"]
        assert told["MLFLOW_SERVER_ALLOWED_HOSTS"] == "mlflow.example:5999"
        assert told["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] == "http://mlflow.example:5999"
        assert found["secrets"]["environment"]["STORE_ACCESS_KEY"] == "given"

    def test_of_the_port_alone_reach_the_tracking_server(self) -> None:
        place = "http://localhost:8888/api/2.0/mlflow-artifacts/artifacts"
        assert f"--default-artifact-root={place}" in services(HTTP_PORT="8888")["mlflow"]["command"]

    def test_of_the_version_name_the_image_and_are_told_to_its_build(self) -> None:
        found = services(ARTIFACT_PROXY_VERSION="9.8.7")
        assert {found[name]["image"] for name in ("secrets", "artifact-proxy")} == {"artifact-proxy:9.8.7"}
        assert found["artifact-proxy"]["build"]["args"] == {"VERSION": "9.8.7"}
        assert "VERSION" in stages()[-1].assigned("ARG", {})

    def test_of_the_configuration_of_nginx_are_all_set(self) -> None:
        """Its image fills in what is set, and leaves all else as it is."""
        texts = [(ROOT / "config" / name).read_text() for name in ("nginx.conf", "nginx-tracking.conf")]
        lines = "\n".join(texts).splitlines()
        code = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
        used = set(re.findall(r"\$\{(\w+)\}", code))
        assert {"NGINX_PID", "TRACKING_LISTEN"} <= used
        assert used - set(services()["nginx"]["environment"]) == set()


class TestPaths:
    def test_that_are_mounted_from_the_checkout_exist(self, all_services: dict[str, dict[str, Any]]) -> None:
        mounts = [mount for service in all_services.values() for mount in service.get("volumes", [])]
        binds = [mount for mount in mounts if mount["type"] == "bind"]
        assert {Path(mount["source"]).relative_to(ROOT).parts[0] for mount in binds} == {"config"}
        assert all(Path(mount["source"]).exists() and mount["read_only"] for mount in binds)
        # Else SELinux lets no container read them; several have the same.
        assert {mount["bind"].get("selinux") for mount in binds} == {"z"}

    def test_of_scripts_and_their_files_exist(self, all_services: dict[str, dict[str, Any]]) -> None:
        named = {
            name: [
                word
                for word in (service["entrypoint"] or []) + (service["command"] or [])
                if "/config/" in word
            ]
            for name, service in all_services.items()
        }
        assert {name for name, paths in named.items() if paths} == ONCE
        for name, paths in named.items():
            for path in paths:
                file = mounted(all_services[name], path)
                assert file is not None
                assert file.is_file(), path

    def test_of_settings_exist_unless_they_are_the_operators_own(self) -> None:
        written = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
        files = [entry for service in written.values() for entry in service.get("env_file", [])]
        needed = [entry for entry in files if isinstance(entry, str)]
        optional = [entry["path"] for entry in files if not isinstance(entry, str) and not entry["required"]]
        assert needed == ["config/compose/artifact-proxy.env"]
        assert (ROOT / needed[0]).is_file()
        # The later one has precedence.
        assert optional == ["config/artifact-proxy.env"]
        assert files[-1]["path"] == optional[0]

    def test_of_secrets_are_those_that_are_made(self, all_services: dict[str, dict[str, Any]]) -> None:
        script = (ROOT / "config" / "compose" / "make-secrets.sh").read_text()
        text = yaml.safe_dump(all_services)
        named = set(re.findall(r"/run/secrets/(\w+/[\w.-]+)", text))
        assert {"proxy/credentials", "access/access.toml", "mlflow/token"} <= named
        made = set(re.findall(r'^(?:keep|token .*) "\$(\w+/[\w.-]+)"', script, re.MULTILINE))
        made |= {"mlflow/token" if name == "tracking/token" else name for name in made}
        assert named - made == {"access/access.toml"}
        assert '--access-file "$access/access.toml"' in script


class TestImages:
    def test_have_a_version_and_never_the_latest(self, all_services: dict[str, dict[str, Any]]) -> None:
        for service in all_services.values():
            image = re.fullmatch(r"[\w./-]+:([\w.-]+)(@sha256:[0-9a-f]{64})?", service["image"])
            assert image, service["image"]
            assert re.search(r"\d", image[1])

    def test_of_one_program_are_the_same(self, all_services: dict[str, dict[str, Any]]) -> None:
        assert all_services["store"]["image"] == all_services["store-setup"]["image"]
        assert all_services["secrets"]["image"] == all_services["artifact-proxy"]["image"]
        assert all_services["artifact-proxy"]["image"] == f"artifact-proxy:{__version__}"

    def test_of_minio_are_pinned_to_the_byte_since_there_will_be_no_others(self) -> None:
        image = services(MINIO)["store"]["image"]
        assert re.fullmatch(r"[a-z.]+/minio/minio:RELEASE\.[\dTZ-]+@sha256:[0-9a-f]{64}", image)

    def test_are_built_by_one_service_each(self, all_services: dict[str, dict[str, Any]]) -> None:
        """Two that build the same one run into each other."""
        builds = {name: service["build"] for name, service in all_services.items() if "build" in service}
        build = {"context": str(ROOT), "dockerfile": "Dockerfile", "args": {"VERSION": __version__}}
        assert builds == {"artifact-proxy": build}
        assert all_services["secrets"]["pull_policy"] == "never"


class TestOrder:
    def test_of_the_start_is_that_of_what_needs_what(self, all_services: dict[str, dict[str, Any]]) -> None:
        found = [
            (name, other, how["condition"])
            for name, service in all_services.items()
            for other, how in service.get("depends_on", {}).items()
        ]
        assert sorted(found) == sorted(ORDER)

    def test_is_kept_by_health_checks_and_by_ends(self, all_services: dict[str, dict[str, Any]]) -> None:
        assert stages()[-1].the("HEALTHCHECK").command
        for _, other, condition in ORDER:
            service = all_services[other]
            if condition == HEALTHY:
                own = service.get("healthcheck", {})
                assert own.get("test") or other == "artifact-proxy", other
                assert not own.get("disable"), other
            else:
                assert service["healthcheck"] == {"disable": True}, other
                assert "restart" not in service, other

    def test_is_kept_when_nginx_is_made_anew_whose_network_the_tracking_server_is_in(
        self, all_services: dict[str, dict[str, Any]]
    ) -> None:
        assert all_services["mlflow"]["depends_on"]["nginx"]["restart"] is True
        command = all_services["mlflow"]["healthcheck"]["test"]
        assert all_services["nginx"]["healthcheck"]["test"][-1] in command, "it is healthy without a network"

    def test_is_kept_after_a_crash_too(self, all_services: dict[str, dict[str, Any]]) -> None:
        lasting = {
            name for name, service in all_services.items() if service.get("restart") == "unless-stopped"
        }
        assert lasting == LASTING


def test_stores_keep_their_data_apart() -> None:
    """They would spoil each other's."""
    places = {}
    for name, files in VARIANTS.items():
        store = services(files)["store"]
        places[name] = next(mount["source"] for mount in store["volumes"] if mount["target"] == "/data")
        assert places[name] in project(files)["volumes"]
    assert len(set(places.values())) == 2


def test_shellcheck_finds_nothing_in_any_script() -> None:
    places = [*ROOT.glob("scripts/*"), *ROOT.glob("config/**/*.sh"), ROOT / ".ci" / "run"]
    scripts = [place for place in places if re.match(rb"#!.*\bb?a?sh\n", place.read_bytes())]
    assert len(scripts) >= 6
    judged = subprocess.run(
        [installed("shellcheck"), "--norc", "--severity=style", *scripts],
        capture_output=True,
        text=True,
    )
    assert (judged.returncode, judged.stdout, judged.stderr) == (0, "", "")
