"""What the server is made of: locked by hashes, listed for who must know, and audited or said not to be."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.version import Version

from tests.support.programs import installed

ROOT = Path(__file__).parents[1]
LOCKS = ["requirements.lock", "requirements-build.lock", "requirements-dev.lock"]
FLOORS = {
    "starlette": "1.5.1",
    "urllib3": "2.8",
    "h11": "0.16",
    "httptools": "0.7",
    "python-multipart": "0.0.31",
}
"""The first versions without a known weakness that matters here; those that are not used need none."""
REQUIREMENT = re.compile(
    r"^([A-Za-z0-9._-]+)==([^ \\\n]+)(?: ;[^\n]*?)? \\\n((?:    --hash=\S+(?: \\)?\n)+)", re.M
)
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def locked(lock: str) -> Iterator[tuple[str, str, set[str]]]:
    """Name, version and hashes of each package."""
    for name, version, hashes in REQUIREMENT.findall((ROOT / lock).read_text()):
        yield name, version, set(HASH.findall(hashes))


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_hashes_and_no_place_of_its_own(lock: str) -> None:
    text = (ROOT / lock).read_text()
    packages = list(locked(lock))
    assert len(packages) == len(re.findall("==[^=]", re.sub(" ;.*", "", text)))
    assert all(hashes for _, _, hashes in packages)
    assert not re.search(r"://|^\s*-(?!-hash)|--(index|extra|find|trusted)|@", text, re.M)


def test_no_version_has_a_weakness_that_is_known_to_matter_here() -> None:
    versions = {name: Version(version) for name, version, _ in locked("requirements.lock")}
    assert {"starlette", "urllib3", "httptools"} <= set(versions)
    for name, floor in FLOORS.items():
        assert versions.get(name, Version(floor)) >= Version(floor), name


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("sbom") / "sbom.cdx.json"
    recipe = subprocess.run(
        ["make", "--dry-run", "--silent", "--old-file=.venv-dev/installed", "sbom"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},  # a make that knows of another above it tells its directory, too
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    command = recipe[recipe.index("cyclonedx-py") :].replace("\\\n", " ").split()
    where = command.index("--output-file") + 1
    assert command[where] == "build/sbom.cdx.json"
    command[where] = str(file)
    subprocess.run([installed(command[0]), *command[1:]], cwd=ROOT, check=True, capture_output=True)
    return file.read_text()


def test_the_bill_of_materials_is_valid(bill: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None


def test_the_bill_of_materials_has_every_package_with_its_hashes(bill: str) -> None:
    document: dict[str, Any] = json.loads(bill)
    assert document["metadata"]["component"]["name"] == "artifact-proxy"
    listed = {
        (part["name"], part["version"], digest["content"])
        for part in document["components"]
        for reference in part["externalReferences"]
        for digest in reference["hashes"]
    }
    assert listed == {
        (name, version, digest) for name, version, hashes in locked("requirements.lock") for digest in hashes
    }


FINDS = 'echo "urllib3 1.24.1 PYSEC-2019-132"; exit 1'
NOTHING = "exit 0"


@pytest.mark.parametrize(
    ("of_the_known", "of_the_lock", "status"),
    [
        (FINDS, NOTHING, 0),
        (FINDS, "exit 1", 1),
        (NOTHING, NOTHING, 2),
        ('echo "Dependency not found on PyPI and could not be audited" >&2; exit 1', NOTHING, 2),
        ('echo "Could not connect" >&2; exit 1', NOTHING, 2),
    ],
)
def test_an_audit_without_data_is_none(
    tmp_path: Path, of_the_known: str, of_the_lock: str, status: int
) -> None:
    service = tmp_path / "pip-audit"
    service.write_text(
        f"#!/bin/sh\ncase $* in *requirements.lock*) {of_the_lock};; *) {of_the_known};; esac\n"
    )
    service.chmod(0o755)
    ran = subprocess.run(
        [ROOT / "scripts" / "audit", service, "-s", "osv"], check=False, capture_output=True, text=True
    )
    assert ran.returncode == status
    assert ("Nothing was audited" in ran.stderr) is (status == 2)
