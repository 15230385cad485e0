"""A model that tests log."""

from __future__ import annotations

from typing import Any


def logged_doubling(mlflow: Any, experiment: str) -> Any:
    """A logged pyfunc model, made of a function that exists nowhere else but in its artifacts."""

    @mlflow.pyfunc.utils.pyfunc  # type: ignore[untyped-decorator]  # mlflow has no types
    def doubled(model_input: list[float]) -> list[float]:
        return [2 * value for value in model_input]

    with mlflow.start_run(experiment_id=experiment):
        return mlflow.pyfunc.log_model(name="doubled", python_model=doubled, pip_requirements=[])
