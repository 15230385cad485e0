"""config/compose/minio-setup.sh, with a stand-in for MinIO's client.

MinIO comes only as an image, which needs a container engine. So this shows that the script asks for the
right things, in an order that may be repeated, and not that MinIO does them. The stand-in knows the
commands of the script alone, and answers them as the client of MinIO does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.dockerfile import ROOT

SCRIPT = ROOT / "config" / "compose" / "minio-setup.sh"
POLICY = ROOT / "config" / "s3-policy.json"
URL = "http://store:9000"
KNOWN = ["alias set", "mb --ignore-existing", "admin policy create", "admin user add", "admin policy attach"]
STAND_IN = f"""#!{sys.executable}
import json, os, pathlib, sys

file = pathlib.Path(os.environ["STATE"])
state = json.loads(file.read_text()) if file.exists() else {{"calls": []}}
words = sys.argv[1:]
state["calls"].append(words)


def end(message, status=0):
    file.write_text(json.dumps(state))
    print(message, file=sys.stderr if status else sys.stdout)
    sys.exit(status)


def known_store(name):
    if name not in state.get("alias", {{}}):
        end(f"mc: <ERROR> No such alias `{{name}}`.", 1)


match words:
    case ["alias", "set", name, *rest] if len(rest) == 3:
        state["alias"] = {{name: rest}}
        end(f"Added `{{name}}` successfully.")
    case ["mb", "--ignore-existing", target]:
        name, _, bucket = target.partition("/")
        known_store(name)
        state["buckets"] = sorted({{*state.get("buckets", []), bucket}})
        end(f"Bucket created successfully `{{target}}`.")
    case ["admin", "policy", "create", name, policy, path]:
        known_store(name)
        state["policies"] = {{policy: json.loads(pathlib.Path(path).read_text())}}
        end(f"Created policy `{{policy}}` successfully.")
    case ["admin", "user", "add", name, user, secret]:
        known_store(name)
        state["users"] = {{user: secret}}
        end(f"Added user `{{user}}` successfully.")
    case ["admin", "policy", "attach", name, policy, "--user", user]:
        known_store(name)
        failure = os.environ.get("FAILURE")
        if failure:
            end(f"mc: <ERROR> Unable to make user/group policy association. {{failure}}", 1)
        if policy not in state["policies"] or user not in state["users"]:
            end("mc: <ERROR> The specified user or policy does not exist.", 1)
        if [policy, user] in state.get("attached", []):
            end("mc: <ERROR> The specified policy change is already in effect.", 1)
        state["attached"] = [*state.get("attached", []), [policy, user]]
        end(f"Attached Policies: [{{policy}}]")
    case _:
        end(f"mc: <ERROR> `{{words}}` is not a command.", 1)
"""


@dataclass
class Store:
    """What a MinIO of one test keeps."""

    directory: Path

    @property
    def state(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.directory / "state.json").read_text())
        return read

    def set_up(self, failure: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", SCRIPT, self.directory / "store", self.directory / "proxy", POLICY],
            env={
                "PATH": f"{self.directory}:/usr/bin:/bin",
                "STATE": str(self.directory / "state.json"),
                "STORE_URL": URL,
                "FAILURE": failure,
            },
            capture_output=True,
            text=True,
        )

    def secret(self, name: str) -> str:
        return (self.directory / name).read_text()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    program = tmp_path / "mc"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    directories = [tmp_path / name for name in ("store", "proxy", "access", "client", "mlflow")]
    command = ["sh", str(ROOT / "config" / "compose" / "make-secrets.sh"), *map(str, directories)]
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(command, check=True, env=os.environ | {"PATH": programs})
    return Store(tmp_path)


@pytest.mark.parametrize("times", [1, 2])
def test_the_bucket_and_a_user_with_the_policy_and_nothing_else_are_made(store: Store, times: int) -> None:
    for _ in range(times):
        done = store.set_up()
        assert (done.returncode, done.stderr) == (0, "")
    state = store.state
    user = store.secret("proxy/access-key")
    assert state["buckets"] == ["artifacts"]
    assert state["policies"] == {"artifact-proxy": json.loads(POLICY.read_text())}
    assert state["users"] == {user: store.secret("proxy/secret-key")}
    assert state["attached"] == [["artifact-proxy", user]]
    calls = [" ".join(call) for call in state["calls"]]
    assert len(calls) == times * len(KNOWN)
    assert all(call.startswith(known) for call, known in zip(calls, KNOWN * times, strict=True))


def test_the_administrator_of_the_store_does_it_at_the_address_that_is_given(store: Store) -> None:
    store.set_up()
    keys = [store.secret(f"store/{name}") for name in ("root-user", "root-password")]
    assert list(store.state["alias"].values()) == [[URL, *keys]]


def test_no_secret_is_shown(store: Store) -> None:
    done = store.set_up()
    for name in ("store/root-password", "proxy/secret-key"):
        assert store.secret(name) not in done.stdout + done.stderr


def test_a_policy_that_cannot_be_attached_stops_the_start_and_the_reason_is_shown(store: Store) -> None:
    done = store.set_up(failure="Access Denied.")
    assert done.returncode == 1
    assert "Access Denied." in done.stderr


def test_a_store_that_is_missing_what_it_needs_is_not_passed_over(store: Store) -> None:
    (store.directory / "store" / "root-user").unlink()
    done = store.set_up()
    assert done.returncode != 0
    assert "root-user" in done.stderr
