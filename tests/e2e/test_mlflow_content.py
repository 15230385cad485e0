"""What MLflow's functions for texts, dictionaries, images and figures log can be loaded again."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from tests.e2e.conftest import Setup


@pytest.fixture
def artifact_uri(setup: Setup, run_id: str) -> str:
    """Of the run, which is below the root that the tracking server was told."""
    uri: str = setup.client().get_run(run_id).info.artifact_uri
    assert uri.startswith(setup.root_uri + "/")
    return uri


def test_a_text_is_loaded_again(setup: Setup, mlflow: Any, run_id: str, artifact_uri: str) -> None:
    setup.client().log_text(run_id, "Grüße\n", "notes/hello.txt")
    assert mlflow.artifacts.load_text(f"{artifact_uri}/notes/hello.txt") == "Grüße\n"
    assert setup.stored(artifact_uri) == {"notes/hello.txt": "Grüße\n".encode()}


@pytest.mark.parametrize("name", ["config.json", "config.yaml"])
def test_a_dictionary_is_loaded_again(
    setup: Setup, mlflow: Any, run_id: str, artifact_uri: str, name: str
) -> None:
    content = {"depth": 3, "names": ["a", "ß"]}
    setup.client().log_dict(run_id, content, name)
    if name.endswith(".json"):
        assert mlflow.artifacts.load_dict(f"{artifact_uri}/{name}") == content
        assert json.loads(setup.stored(artifact_uri)[name]) == content
    else:
        assert "depth: 3" in mlflow.artifacts.load_text(f"{artifact_uri}/{name}")


def test_an_image_is_loaded_again_pixel_by_pixel(
    setup: Setup, mlflow: Any, run_id: str, artifact_uri: str
) -> None:
    from PIL import Image

    image = Image.effect_mandelbrot((64, 48), (-2, -1.5, 1, 1.5), 20)
    setup.client().log_image(run_id, image, "plots/set.png")
    loaded = mlflow.artifacts.load_image(f"{artifact_uri}/plots/set.png")
    assert (loaded.size, loaded.tobytes()) == (image.size, image.tobytes())


def test_a_figure_is_loaded_again_as_an_image(
    setup: Setup, mlflow: Any, run_id: str, artifact_uri: str
) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 1), dpi=100)
    figure.subplots().plot([1, 3, 2])
    setup.client().log_figure(run_id, figure, "line.png")
    drawn = io.BytesIO()
    figure.savefig(drawn)
    assert mlflow.artifacts.load_image(f"{artifact_uri}/line.png").size == (200, 100)
    assert setup.stored(artifact_uri) == {"line.png": drawn.getvalue()}


def test_the_uri_of_an_artifact_leads_to_it(setup: Setup, mlflow: Any, experiment: str) -> None:
    with mlflow.start_run(experiment_id=experiment):
        mlflow.log_text("found", "some dir/a.txt")
        uri = mlflow.get_artifact_uri("some dir/a.txt")
        assert uri.startswith(mlflow.get_artifact_uri())
    assert mlflow.artifacts.load_text(uri) == "found"
    assert setup.root.read(setup.path(uri)) == b"found"


def test_an_experiment_may_have_its_own_place_below_the_root(setup: Setup, mlflow: Any, folder: str) -> None:
    client = setup.client()
    place = f"{setup.root_uri}/teams/{folder}"
    run = client.create_run(client.create_experiment(folder, artifact_location=place))
    assert run.info.artifact_uri == f"{place}/{run.info.run_id}/artifacts"
    client.log_text(run.info.run_id, "apart", "a.txt")
    assert setup.root.tree(f"teams/{folder}") == {f"{run.info.run_id}/artifacts/a.txt": b"apart"}
    assert [info.path for info in client.list_artifacts(run.info.run_id)] == ["a.txt"]
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/a.txt") == "apart"
