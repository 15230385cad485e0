"""How long the fuzzing takes: FUZZ=long, which `make fuzz` sets, makes a hundred times the examples."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import hypothesis
import pytest

from tests.support.access import token_stanza
from tests.support.guarded import guarded
from tests.support.server import Server

hypothesis.settings.register_profile("long", deadline=None, max_examples=10_000)
if os.environ.get("FUZZ") == "long":
    # Here, as tests take their number of examples from the profile when they are imported.
    hypothesis.settings.load_profile("long")


@pytest.fixture(scope="session")
def long() -> bool:
    return os.environ.get("FUZZ") == "long"


@dataclass(frozen=True)
class Known:
    """A server, and the token of somebody who may do everything there."""

    server: Server
    token: str


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    token, stanza = token_stanza("fuzzer", "all:")
    with guarded(tmp_path_factory.mktemp("fuzz"), stanza) as server:
        yield Known(server, token)
