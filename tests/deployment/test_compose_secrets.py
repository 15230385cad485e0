"""config/compose/make-secrets.sh, run in every shell that an image may have."""

from __future__ import annotations

import configparser
import json
import subprocess
import tomllib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from botocore.credentials import SharedCredentialProvider

from tests.support.dockerfile import ROOT
from tests.support.programs import installed

SCRIPT = ROOT / "config" / "compose" / "make-secrets.sh"
FILES = {
    "store/root-user",
    "store/root-password",
    "store/seaweedfs.json",
    "proxy/access-key",
    "proxy/secret-key",
    "proxy/credentials",
    "access/access.toml",
    "client/admin",
    "mlflow/token",
}
TOKENS = {"admin": "client/admin", "mlflow": "mlflow/token"}
SECRETS = ("store/root-user", "store/root-password", "proxy/access-key", "proxy/secret-key")
VARIABLES = ("STORE_ROOT_USER", "STORE_ROOT_PASSWORD", "STORE_ACCESS_KEY", "STORE_SECRET_KEY")
PROGRAMS = Path(installed("artifact-proxy")).parent
SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"], "busybox": ["busybox", "sh"]}


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, need: Callable[[str], str]) -> str:
    name: str = request.param
    need(name)
    return name


def make(directory: Path, shell: str = "", **variables: str) -> dict[str, str]:
    """Runs the script over two directories below `directory`; gives all files by their names."""
    # As docker-compose.yml passes them on: empty ones are as good as none.
    environment = {"PATH": f"{PROGRAMS}:/usr/bin:/bin"} | dict.fromkeys(VARIABLES, "")
    places = [directory / name for name in ("store", "proxy", "access", "client", "mlflow")]
    made = subprocess.run(
        [*SHELLS.get(shell, ["sh"]), SCRIPT, *places],
        env=environment | variables,
        capture_output=True,
        text=True,
    )
    assert (made.returncode, made.stdout, made.stderr) == (0, "", ""), "the output shows something"
    files = [file for file in directory.rglob("*") if file.is_file()]
    return {str(file.relative_to(directory)): file.read_text() for file in files}


def test_every_fresh_start_makes_other_secrets(tmp_path: Path, shell: str) -> None:
    made = [make(tmp_path / str(number), shell) for number in range(2)]
    assert set(made[0]) == set(made[1]) == FILES
    values = [files[name] for files in made for name in (*SECRETS, *TOKENS.values())]
    assert len(set(values)) == len(values) == 12
    for files in made:
        assert {len(files[name]) for name in ("store/root-password", "proxy/secret-key")} == {48}
        assert {len(files[name]) for name in ("store/root-user", "proxy/access-key")} == {14}


def test_a_second_run_keeps_what_is_there(tmp_path: Path, shell: str) -> None:
    first = make(tmp_path, shell)
    assert make(tmp_path, shell) == first
    assert make(tmp_path, shell, STORE_ACCESS_KEY="another") == first


def test_a_file_that_is_lost_or_empty_is_made_again_and_no_other(tmp_path: Path) -> None:
    first = make(tmp_path)
    (tmp_path / "proxy" / "credentials").unlink()
    (tmp_path / "store" / "seaweedfs.json").write_text("")
    assert make(tmp_path) == first


def test_secrets_of_the_environment_are_taken(tmp_path: Path) -> None:
    given = ["admin", 'of "the" \\ admin', "proxy", "of/the+proxy"]
    files = make(tmp_path, **dict(zip(VARIABLES, given, strict=True)))
    assert [files[name] for name in SECRETS] == given
    assert _identities(files) == {
        "administrator": (given[0], given[1]),
        "artifact-proxy": (given[2], given[3]),
    }


def test_boto3_reads_the_credentials_of_the_proxy(tmp_path: Path) -> None:
    files = make(tmp_path)
    read = SharedCredentialProvider(str(tmp_path / "proxy" / "credentials"), "default").load()
    assert read is not None
    assert (read.access_key, read.secret_key) == (files["proxy/access-key"], files["proxy/secret-key"])
    parser = configparser.ConfigParser()
    parser.read_string(files["proxy/credentials"])
    assert parser.sections() == ["default"]


def test_seaweedfs_knows_the_same_two_users(tmp_path: Path) -> None:
    files = make(tmp_path)
    assert _identities(files) == {
        "administrator": (files["store/root-user"], files["store/root-password"]),
        "artifact-proxy": (files["proxy/access-key"], files["proxy/secret-key"]),
    }
    actions = {
        each["name"]: each["actions"] for each in json.loads(files["store/seaweedfs.json"])["identities"]
    }
    assert actions["administrator"] == ["Admin"]
    assert all(action.endswith(":artifacts") for action in actions["artifact-proxy"])


def test_the_proxy_does_not_see_the_administrator(tmp_path: Path) -> None:
    files = make(tmp_path)
    seen = "".join(text for name, text in files.items() if name.startswith("proxy/"))
    assert files["store/root-user"] not in seen
    assert files["store/root-password"] not in seen


def test_users_of_other_containers_can_read_them_and_only_their_maker_can_write(tmp_path: Path) -> None:
    make(tmp_path)
    shared = FILES - set(TOKENS.values())
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in shared} == {0o644}


def test_tokens_are_read_by_root_alone_as_who_the_maker_and_the_tracking_server_run(tmp_path: Path) -> None:
    make(tmp_path)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in TOKENS.values()} == {0o600}


def test_the_access_file_knows_the_tokens_and_what_they_may_do(tmp_path: Path) -> None:
    files = make(tmp_path)
    known = {each["name"]: each for each in tomllib.loads(files["access/access.toml"])["tokens"]}
    assert {name: each["allow"] for name, each in known.items()} == {
        "admin": ["all:"],
        "mlflow": ["read,list:"],
    }
    for name, file in TOKENS.items():
        assert known[name]["sha256"] == sha256(files[file].strip().encode()).hexdigest()
    seen = "".join(text for name, text in files.items() if name not in TOKENS.values())
    assert not any(files[file].strip() in seen for file in TOKENS.values())


def test_a_token_that_somebody_takes_away_does_not_come_back(tmp_path: Path) -> None:
    first = make(tmp_path)
    access = tmp_path / "access" / "access.toml"
    _, admin, mlflow = first["access/access.toml"].split("[[tokens]]\n")
    access.write_text(f"[[tokens]]\n{mlflow}")
    (tmp_path / "mlflow" / "token").unlink()
    assert "admin" in admin
    left = make(tmp_path)
    assert left["access/access.toml"] == f"[[tokens]]\n{mlflow}"
    assert "mlflow/token" not in left
    assert left["client/admin"] == first["client/admin"]


def test_a_run_that_broke_off_is_taken_up_where_it_was(tmp_path: Path) -> None:
    first = make(tmp_path)
    # Before the token got its place, and before its hash was kept.
    (tmp_path / "client" / "admin").rename(tmp_path / "client" / "admin.new")
    (tmp_path / "mlflow" / "token").rename(tmp_path / "mlflow" / "token.new")
    admin = first["access/access.toml"].split("\n\n")[0]
    (tmp_path / "access" / "access.toml").write_text(admin + "\n")
    again = make(tmp_path)
    assert set(again) == FILES
    assert again["client/admin"] == first["client/admin"]
    known = {each["name"]: each for each in tomllib.loads(again["access/access.toml"])["tokens"]}
    assert known["mlflow"]["sha256"] == sha256(again["mlflow/token"].strip().encode()).hexdigest()


def test_the_shell_of_seaweedfs_understands_the_script_that_sets_it_up(need: Callable[[str], str]) -> None:
    """Its image has busybox."""
    script = SCRIPT.with_name("seaweedfs-setup.sh")
    read = subprocess.run([need("busybox"), "sh", "-n", script], capture_output=True, text=True)
    assert (read.returncode, read.stderr) == (0, "")


def _identities(files: dict[str, str]) -> dict[str, tuple[str, str]]:
    """The key and secret of each of SeaweedFS's users."""
    read = json.loads(files["store/seaweedfs.json"])["identities"]
    found = {}
    for identity in read:
        (credentials,) = identity["credentials"]
        found[identity["name"]] = (credentials["accessKey"], credentials["secretKey"])
    return found
