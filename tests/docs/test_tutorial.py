"""The tutorial, followed from its first command to its last; what it promises to show is there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.support.chromium import Complaints, chromium, visiting
from tests.support.documents import blocks, sections
from tests.support.ports import free_ports
from tests.support.quick_starts import run, staying, terminal, with_others

STEPS = list(sections("docs/tutorial.md").values())
SERVES = " serves "


class Reader:
    """Types what a step shows, in a directory of its own, with other ports."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ports = free_ports(2)
        # Installed already, as far as it is no part of this project.
        self.environment = terminal(MLFLOW_WORKERS="1")

    def shown(self, step: int, number: int = 0, language: str = "sh") -> str:
        text = blocks(STEPS[step - 1], language)[number].text
        words = {word: port for word, port in zip(("5500", "5000"), self.ports, strict=True) if word in text}
        return with_others(text, words) if words else text

    def types(self, text: str) -> None:
        self.environment |= run(text, self.directory, self.environment)


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def look_at_the_model(program: str, url: str) -> None:
    """By the steps that the tutorial names, from the root down to the card."""
    assert "Directory `1` is the experiment: below it are the run" in STEPS[4]
    complaints = Complaints()
    with chromium(program) as browser, visiting(browser, complaints) as visitor:
        page = visitor.arrive(url)
        page.goto(url)
        for name in ("1/", "models/", re.compile("^m-"), "artifacts/"):
            page.get_by_role("link", name=name, exact=True).click()
        card = page.locator(".model")
        for told in ("sklearn", "petal width (cm)", "Outputs"):
            expect(card).to_contain_text(told)


def test_the_tutorial_leads_to_a_logged_model(
    need: Callable[[str], str], reader: Reader, client: httpx.Client
) -> None:
    server, tracking, train = reader.shown(2), reader.shown(3), reader.shown(4, language="python")
    (reader.directory / "train.py").write_text(train)
    with staying(tracking, reader.directory, reader.environment, "Uvicorn running on"):
        with staying(server, reader.directory, reader.environment, SERVES):
            reader.types(reader.shown(4))
            (kept,) = (reader.directory / "artifacts" / "1" / "models").iterdir()
            assert (kept / "artifacts" / "MLmodel").exists()
            look_at_the_model(need("chromium"), f"http://127.0.0.1:{reader.ports[0]}/ui")
            reader.types(reader.shown(6))
            assert (reader.directory / "copy" / kept.name / "artifacts" / "MLmodel").exists()
        make, guarded = reader.shown(7).splitlines()
        reader.types(make)
        with staying(guarded, reader.directory, reader.environment, SERVES):
            listing = f"http://127.0.0.1:{reader.ports[0]}/v1/artifacts/"
            assert client.get(listing).status_code == 401
            reader.types(reader.shown(7, 1))
            assert len(list((reader.directory / "artifacts" / "1" / "models").iterdir())) == 2
