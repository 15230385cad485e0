"""Whose credentials the store sees: the server's own, from variables and files, without which none starts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.errors import (
    StoragePermissionDenied,
)
from tests.support.artifacts import get, put
from tests.support.interposer import Interposer
from tests.support.object_store import ObjectStore
from tests.support.s3_credentials import ROLE, SECRET, TOKEN, access_keys, keys_of, shared_file
from tests.support.s3_variables import configured
from tests.support.server import clean_environment


class TestOfTheServer:
    def test_come_from_the_environment_first(
        self, second_keyless: dict[str, str], second_wire: Interposer, second_root: str, tmp_path: Path
    ) -> None:
        named = second_keyless | keys_of("KEYOFVARIABLE") | shared_file(tmp_path, default="KEYOFFILE")
        with configured(second_root, named) as storage:
            put(storage, "a")
            assert get(storage, "a") == b"data"
        assert access_keys(second_wire) == {"KEYOFVARIABLE"}
        assert not any(TOKEN in request.headers for request in second_wire.requests())

    def test_may_have_a_session_token(
        self, second_keyless: dict[str, str], second_wire: Interposer, second_root: str
    ) -> None:
        with configured(
            second_root, second_keyless | keys_of("KEY") | {"AWS_SESSION_TOKEN": "our-session"}
        ) as storage:
            put(storage, "a")
        assert {request.headers.get(TOKEN) for request in second_wire.requests()} == {"our-session"}

    @pytest.mark.parametrize(("chosen", "access_key"), [("", "KEYOFDEFAULT"), ("work", "KEYOFWORK")])
    def test_come_from_the_profile_that_is_chosen(
        self,
        chosen: str,
        access_key: str,
        second_keyless: dict[str, str],
        second_wire: Interposer,
        second_root: str,
        tmp_path: Path,
    ) -> None:
        named = shared_file(tmp_path, default="KEYOFDEFAULT", work="KEYOFWORK")
        if chosen:
            named["AWS_PROFILE"] = chosen
        with configured(second_root, second_keyless | named) as storage:
            storage.check()
        assert access_keys(second_wire) == {access_key}

    def test_that_are_right_are_accepted_and_others_are_not(
        self, object_store: ObjectStore, bucket: str
    ) -> None:
        """By a store that judges them."""
        right = object_store.environment()
        with configured(f"s3://{bucket}/some/root", right) as storage:
            storage.check()
        for wrong in (keys_of("nobody"), {"AWS_SECRET_ACCESS_KEY": SECRET}):
            with (
                configured(f"s3://{bucket}/some/root", right | wrong) as storage,
                pytest.raises(StoragePermissionDenied),
            ):
                storage.check()


def refused(root: str, variables: Mapping[str, str], home: Path) -> str:
    """What is said by a server that does not start."""
    kept = {name: value for name, value in clean_environment().items() if not name.startswith("AWS_")}
    outcome = subprocess.run(
        [sys.executable, "-m", "app", "--default-artifact-root", root, "--port", "0"],
        capture_output=True,
        text=True,
        env=kept | {"HOME": str(home)} | dict(variables),
        timeout=60,
    )
    assert (outcome.returncode, outcome.stdout) == (2, ""), outcome.stderr
    assert outcome.stderr.startswith("artifact-proxy: ")
    assert outcome.stderr.count("\n") == 1
    assert SECRET not in outcome.stderr
    return outcome.stderr


class TestStart:
    @pytest.mark.parametrize(
        ("named", "said"),
        [
            ({}, "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE"),
            ({"AWS_ACCESS_KEY_ID": "KEY"}, "AWS_SECRET_ACCESS_KEY"),
            ({"AWS_PROFILE": "nobody"}, "nobody"),
            (
                {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": "/nonexistent/token"},
                "/nonexistent/token",
            ),
            (
                {
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/",
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/nonexistent/token",
                },
                "/nonexistent/token",
            ),
            ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/"}, "192.0.2.1"),
        ],
        ids=[
            "none",
            "half of a key",
            "no such profile",
            "no token",
            "no token of the container",
            "no container",
        ],
    )
    def test_without_credentials_is_refused_in_plain_words(
        self,
        named: dict[str, str],
        said: str,
        second_keyless: dict[str, str],
        second_wire: Interposer,
        second_root: str,
        tmp_path: Path,
    ) -> None:
        assert said in refused(second_root, second_keyless | named, tmp_path)
        assert second_wire.requests() == []
