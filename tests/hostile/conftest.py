"""One server that knows its callers, with limits that are easily reached, and one over a root in S3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hostile.asking import Asker
from tests.support.access import access_file, issuer_stanza, proxy_header_stanza, rule, token_stanza
from tests.support.interposer import interposing
from tests.support.object_store import ObjectStore
from tests.support.oidc import AUDIENCE, Key, ec_key
from tests.support.presigning import Place
from tests.support.server import Server, running

LARGEST = 4_000_000
ISSUER = "https://login.example.com"


@dataclass(frozen=True)
class Guarded:
    server: Server
    token: str
    """Of one who may do everything."""
    reader: str
    """Of one who may read and list below `open/`."""
    key: Key
    """Of an OpenID provider whose callers may do everything."""
    audit_log: Path


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    directory, around = tmp_path_factory.mktemp("access"), tmp_path_factory.mktemp("hostile")
    token, all_allowed = token_stanza("tester", "all:")
    reader, reading = token_stanza("reader", "read,list:open/")
    key = ec_key()
    (directory / "key.pem").write_text(key.pem())
    known = access_file(
        directory,
        all_allowed,
        reading,
        issuer_stanza(
            "corp",
            ISSUER,
            AUDIENCE,
            rule("all:"),
            algorithms=["ES256"],
            key_file=str(directory / "key.pem"),
        ),
        proxy_header_stanza(["127.0.0.9"], rule("all:"), header="X-Forwarded-User"),
    )
    audit_log = directory / "audit.jsonl"
    flags = {
        "--access-file": str(known),
        "--audit-log": str(audit_log),
        "--allowed-hosts": "127.0.0.1",
        "--forwarded-allow-ips": "127.0.0.9",
        "--max-artifact-size": str(LARGEST),
        "--max-requests-per-second": "0",
        "--max-transfers-per-identity": "0",
    }
    arguments = [word for flag in flags.items() for word in flag]
    with running(around / "root", *arguments, log_file=directory / "server.log") as server:
        yield Guarded(server, token, reader, key, audit_log)


@pytest.fixture
def asker(guarded: Guarded) -> Iterator[Asker]:
    """One who may do everything, below a root that is empty at first."""
    with Asker(guarded.server, guarded.token) as opened:
        yield opened


@pytest.fixture
def stranger(guarded: Guarded) -> Iterator[Asker]:
    """One without a credential."""
    with Asker(guarded.server) as opened:
        yield opened


@pytest.fixture(scope="session")
def place(object_store: ObjectStore) -> Iterator[Place]:
    bucket = object_store.make_bucket()
    with closing(object_store.client()) as client, interposing(object_store.url) as between:
        yield Place(object_store, bucket, client, between, between)
    object_store.remove_bucket(bucket)


@pytest.fixture(scope="session")
def presigning(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that lets clients transfer straight to and from the store."""
    log_file = tmp_path_factory.mktemp("presigning") / "log"
    with running(place.root(), "--presign", environment=place.environment, log_file=log_file) as server:
        yield server
