"""Credentials that end: those of roles, and those that a container is given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from app.errors import (
    StoragePermissionDenied,
    StorageUnavailable,
)
from tests.support.artifacts import get, put
from tests.support.interposer import Interposer, interposing
from tests.support.interposer_actions import answer
from tests.support.loopback import listening
from tests.support.object_store import ObjectStore
from tests.support.s3_credentials import ROLE, SECRET, TOKEN, access_keys, shared_file
from tests.support.s3_requests import (
    presigned,
    scope,
)
from tests.support.s3_variables import configured, profile


@pytest.fixture
def tokens(second_store: ObjectStore) -> Iterator[Interposer]:
    """Before moto's own STS."""
    with interposing(second_store.url) as interposer:
        yield interposer


class TestRoles:
    """Temporary credentials of STS, whose access keys begin with ASIA."""

    def test_of_a_profile_is_assumed(
        self,
        second_keyless: dict[str, str],
        second_wire: Interposer,
        tokens: Interposer,
        second_root: str,
        tmp_path: Path,
    ) -> None:
        named = {"AWS_PROFILE": "role", "AWS_ENDPOINT_URL_STS": tokens.url}
        text = f"role_arn = {ROLE}\nsource_profile = base\nregion = us-east-1"
        named |= profile(tmp_path, text, "role") | shared_file(tmp_path, base="KEYOFBASE")
        with configured(second_root, second_keyless | named) as storage:
            put(storage, "a")
            assert get(storage, "a") == b"data"
        self.require_temporary(second_wire)
        (asked,) = self.asked(tokens)
        assert (asked["Action"], asked["RoleArn"]) == ("AssumeRole", ROLE)
        assert "Credential=KEYOFBASE/" in tokens.requests()[0].headers["authorization"]

    def test_of_a_web_identity_is_assumed(
        self,
        second_keyless: dict[str, str],
        second_wire: Interposer,
        tokens: Interposer,
        second_root: str,
        tmp_path: Path,
    ) -> None:
        with configured(second_root, second_keyless | self.web_identity(tokens, tmp_path)) as storage:
            put(storage, "a")
            assert get(storage, "a") == b"data"
        self.require_temporary(second_wire)
        (asked,) = self.asked(tokens)
        assert (asked["Action"], asked["RoleArn"]) == ("AssumeRoleWithWebIdentity", ROLE)
        assert asked["WebIdentityToken"] == "who-we-are"
        assert "authorization" not in tokens.requests()[0].headers

    def test_that_may_not_be_assumed_is_told(
        self,
        second_keyless: dict[str, str],
        second_wire: Interposer,
        tokens: Interposer,
        second_root: str,
        tmp_path: Path,
    ) -> None:
        tokens.on(lambda _: True, answer(403, "AccessDenied"), times=None)
        named = second_keyless | self.web_identity(tokens, tmp_path)
        with configured(second_root, named) as storage, pytest.raises(StoragePermissionDenied) as caught:
            storage.check()
        assert "AssumeRoleWithWebIdentity" in str(caught.value.__cause__)
        assert second_wire.requests() == []

    @staticmethod
    def web_identity(tokens: Interposer, directory: Path) -> dict[str, str]:
        file = directory / "token"
        file.write_text("who-we-are")
        return {
            "AWS_ROLE_ARN": ROLE,
            "AWS_ROLE_SESSION_NAME": "artifact-proxy",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(file),
            "AWS_ENDPOINT_URL_STS": tokens.url,
        }

    @staticmethod
    def asked(tokens: Interposer) -> list[dict[str, str]]:
        return [
            {name: values[0] for name, values in parse_qs((request.body or b"").decode()).items()}
            for request in tokens.requests()
        ]

    @staticmethod
    def require_temporary(second_wire: Interposer) -> None:
        (access_key,) = access_keys(second_wire)
        assert access_key.startswith("ASIA")
        assert all(request.headers.get(TOKEN) for request in second_wire.requests())


@dataclass
class Container:
    """What hands out credentials in ECS and EKS: new ones each time, for so many seconds each."""

    lifetimes: Sequence[float]
    """The last one is that of all after it; without any there is nonsense in place of credentials."""
    url: str = ""
    handed_out: list[str] = field(default_factory=list)
    authorizations: set[str | None] = field(default_factory=set)
    trouble: str = ""

    def answer(self) -> tuple[int, bytes]:
        if self.trouble == "fails":
            return 500, b"{}"
        if self.trouble == "nonsense" or not self.lifetimes:
            return 200, b"{}"
        number = len(self.handed_out)
        self.handed_out.append(f"KEY{number}")
        lifetime = self.lifetimes[min(number, len(self.lifetimes) - 1)]
        expires = datetime.now(UTC) + timedelta(seconds=-60 if self.trouble == "expired" else lifetime)
        credentials = {
            "AccessKeyId": f"KEY{number}",
            "SecretAccessKey": SECRET,
            "Token": f"token-{number}",
            "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return 200, json.dumps(credentials).encode()

    def variables(self) -> dict[str, str]:
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": self.url,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "pod-token",
        }


@contextmanager
def container(*lifetimes: float) -> Iterator[Container]:
    serving = Container(lifetimes)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            serving.authorizations.add(self.headers["Authorization"])
            status, body = serving.answer()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with listening(Handler) as url:
        serving.url = f"{url}/credentials"
        yield serving


class TestOfTheContainer:
    def test_are_used_as_long_as_they_hold(
        self, second_keyless: dict[str, str], second_wire: Interposer, second_root: str
    ) -> None:
        with container(6 * 3600) as serving:
            with configured(second_root, second_keyless | serving.variables()) as storage:
                put(storage, "a")
                assert get(storage, "a") == b"data"
            assert serving.handed_out == ["KEY0"]
            assert serving.authorizations == {"pod-token"}
        assert access_keys(second_wire) == {"KEY0"}
        assert {request.headers[TOKEN] for request in second_wire.requests()} == {"token-0"}

    def test_are_replaced_before_they_expire(
        self, second_keyless: dict[str, str], second_wire: Interposer, second_root: str
    ) -> None:
        # botocore gets new ones some minutes before the old ones end.
        with (
            container(*[60] * 5, 6 * 3600) as serving,
            configured(second_root, second_keyless | serving.variables()) as storage,
        ):
            for _ in range(8):
                storage.check()
        used = [scope(request)[0] for request in second_wire.requests()]
        assert used == sorted(used)
        assert used[0] != used[1]
        assert used[-2:] == ["KEY5", "KEY5"] == serving.handed_out[-1:] * 2
        assert [request.headers[TOKEN][-1] for request in second_wire.requests()] == [key[-1] for key in used]

    @pytest.mark.parametrize("trouble", ["fails", "nonsense", "expired"])
    def test_that_cannot_be_had_are_a_failure_for_now(
        self,
        trouble: str,
        second_keyless: dict[str, str],
        second_wire: Interposer,
        second_root: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
        with (
            container(60) as serving,
            configured(second_root, second_keyless | serving.variables()) as storage,
        ):
            storage.check()
            serving.trouble = trouble
            with pytest.raises(StorageUnavailable):
                storage.check()
            with pytest.raises(StorageUnavailable):
                presigned(storage)
            assert len(second_wire.requests()) == 1
            serving.trouble = ""
            storage.check()

    def test_that_make_no_sense_at_the_start_are_refused(
        self, second_keyless: dict[str, str], second_root: str
    ) -> None:
        with (
            container() as serving,
            pytest.raises(ValueError, match="credentials"),
            configured(second_root, second_keyless | serving.variables()),
        ):
            pass
