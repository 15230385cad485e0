"""Models that MLflow clients log through the proxy can be loaded again and predict the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Setup
from tests.e2e.models import logged_doubling

# MLflow warns the authors of models, among others about its own type hints when it is imported.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:mlflow")


def test_a_scikit_learn_model_is_loaded_again_and_predicts_the_same(
    setup: Setup, mlflow: Any, experiment: str
) -> None:
    import numpy
    from sklearn.linear_model import LinearRegression

    inputs = numpy.arange(20.0).reshape(10, 2)
    model = LinearRegression().fit(inputs, inputs @ [2.0, -3.0] + 7.0)
    with mlflow.start_run(experiment_id=experiment):
        logged = mlflow.sklearn.log_model(model, name="model", pip_requirements=["scikit-learn"])

    loaded = mlflow.sklearn.load_model(logged.model_uri)
    assert numpy.array_equal(loaded.predict(inputs), model.predict(inputs))
    stored = setup.stored(mlflow.get_logged_model(logged.model_id).artifact_location)
    assert "MLmodel" in stored


def test_a_pyfunc_model_is_loaded_again_and_predicts_the_same(mlflow: Any, experiment: str) -> None:
    logged = logged_doubling(mlflow, experiment)
    assert mlflow.pyfunc.load_model(logged.model_uri).predict([1.5, -2.0]) == [3.0, -4.0]


def test_a_model_is_listed_and_downloaded_by_its_uri(
    setup: Setup, mlflow: Any, experiment: str, tmp_path: Path
) -> None:
    logged = logged_doubling(mlflow, experiment)
    assert logged.model_uri.startswith("models:/")
    names = {info.path for info in mlflow.artifacts.list_artifacts(logged.model_uri)}
    assert {"MLmodel", "python_model.pkl"} <= names
    fetched = Path(mlflow.artifacts.download_artifacts(logged.model_uri, dst_path=str(tmp_path)))
    stored = setup.stored(mlflow.get_logged_model(logged.model_id).artifact_location)
    for name in names:
        assert (fetched / name).read_bytes() == stored[name]
