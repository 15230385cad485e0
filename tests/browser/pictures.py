"""The pictures of the page in docs/screenshots, and the artifacts that they show."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow
import pyarrow.parquet
import yaml
from PIL import Image
from playwright.sync_api import Browser, Page

from tests.support import previewable_arrays, previewable_documents
from tests.support.chromium import LESS_TRUSTED, NAME, Complaints, settled, visiting
from tests.support.server import running

NOW = datetime(2026, 3, 14, 9, 30, tzinfo=UTC)
RUN_ID = "8d3f0c52e1b94a6f9d27c0a4b5e6f718"
RUN = f"1/{RUN_ID}/artifacts"
WEIGHTS = 3_100_000
SCALE = 2
"""Of sharp screens."""


@dataclass(frozen=True)
class Picture:
    name: str
    place: str
    width: int
    height: int
    look: dict[str, Any] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        return f"{self.name}.png"


PICTURES = (
    Picture("light", f"{RUN}/model/", 1200, 920, {"color_scheme": "light"}),
    Picture("dark", f"{RUN}/predictions.parquet", 1200, 800, {"color_scheme": "dark"}),
    Picture("phone", f"{RUN}/", 390, 780, {"color_scheme": "light", "is_mobile": True, "has_touch": True}),
)

_ENVIRONMENT = """\
name: mlflow-env
channels:
- conda-forge
dependencies:
- python=3.11.9
- pip:
  - mlflow==3.17.2
  - scikit-learn==1.7.2
"""


def take(browser: Browser, work: Path, directory: Path) -> Iterator[Path]:
    """Gives the file of each picture once it is in `directory`; what is needed meanwhile is in `work`."""
    root = work / "root"
    for age, (path, content) in enumerate(_artifacts()):
        _put(root / path, content, NOW - timedelta(minutes=7 + 13 * age * age))
    complaints = Complaints()
    complaints.expect(LESS_TRUSTED)
    with running(root, "--allowed-hosts", NAME) as server, visiting(browser, complaints) as visitor:
        url = f"http://{NAME}:{urlsplit(server.url).port}"
        for picture in PICTURES:
            page = visitor.arrive(
                url,
                viewport={"width": picture.width, "height": picture.height},
                device_scale_factor=SCALE,
                locale="en-GB",
                timezone_id="UTC",
                **picture.look,
            )
            page.clock.set_fixed_time(NOW)
            page.goto(f"{url}/ui#/{picture.place}")
            yield _taken(settled(page), directory / picture.file_name)


def _taken(page: Page, file: Path) -> Path:
    page.locator("[aria-busy=true]").first.wait_for(state="detached")
    # No heading looks chosen, though it has the focus.
    page.evaluate("document.activeElement.blur()")
    taken = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
    # As few colours as a page has, so that the files stay small.
    taken.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
    return file


def _put(file: Path, content: bytes, modified: datetime) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, (modified.timestamp(), modified.timestamp()))


def _artifacts() -> Iterator[tuple[str, bytes]]:
    """Those of a run, the newest first."""
    yield f"{RUN}/model/MLmodel", _card()
    yield f"{RUN}/model/conda.yaml", _ENVIRONMENT.encode()
    yield f"{RUN}/model/input_example.json", b'{"columns": ["sepal length (cm)"], "data": [[5.1]]}\n'
    yield f"{RUN}/model/model.safetensors", previewable_arrays.tensors() + bytes(WEIGHTS)
    yield f"{RUN}/model/requirements.txt", b"mlflow==3.17.2\nscikit-learn==1.7.2\n"
    yield f"{RUN}/predictions.parquet", _predictions()
    yield f"{RUN}/README.md", previewable_documents.MARKDOWN.encode()
    yield f"{RUN}/confusion.png", _heat_map()
    yield f"{RUN}/metrics.jsonl", b'{"step": 1, "loss": 0.5}\n' * 900
    yield f"{RUN}/checkpoints/epoch-10/weights.bin", bytes(1000)
    yield f"{RUN}/training.log", b"epoch 1 loss 0.5\n" * 4000


def _card() -> bytes:
    card = yaml.safe_load(previewable_documents.model("petal_length"))
    # So that all of it is to be seen.
    del card["signature"], card["saved_input_example_info"]
    created = NOW - timedelta(minutes=7)
    own = {"run_id": RUN_ID, "model_size_bytes": WEIGHTS, "utc_time_created": f"{created:%Y-%m-%d %H:%M:%S}"}
    return yaml.safe_dump(card | own).encode()


def _predictions() -> bytes:
    species = ["setosa", "versicolor", "virginica"]
    rows = range(1200)
    table = pyarrow.table(
        {
            "id": list(rows),
            "species": [species[number % 3] for number in rows],
            "predicted": [species[number % 3 if number % 17 != 5 else 0] for number in rows],
            "probability": [round(0.99 - (number * 7 % 31) / 100, 2) for number in rows],
            "petal_length": [round(1.2 + number % 3 * 1.7 + number * 3 % 10 / 10, 1) for number in rows],
        }
    )
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file)
    return file.getvalue()


def _heat_map() -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").save(file, "PNG")
    return file.getvalue()
