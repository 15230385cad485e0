"""MLflow's client sends a folder and fetches it again: one process of the rows about many files.

    python -m benchmarks.mlflow_client URI COUNT SIZE DIRECTORY

Prints the seconds of each as JSON. The status is not 0 if other files came back than were sent.
"""

from __future__ import annotations

import filecmp
import json
import sys
import time
from pathlib import Path

from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from benchmarks.content import span


def main(uri: str, count: int, size: int, directory: Path) -> None:
    sent, fetched = directory / "sent", directory / "fetched"
    sent.mkdir()
    fetched.mkdir()
    names = [f"{number:05}" for number in range(count)]
    for number, file in enumerate(names):
        (sent / file).write_bytes(span(0, number * size, size))
    repository = get_artifact_repository(uri)
    started = time.perf_counter()
    repository.log_artifacts(str(sent))
    uploaded = time.perf_counter()
    repository.download_artifacts("", str(fetched))
    downloaded = time.perf_counter()
    same, different, missing = filecmp.cmpfiles(sent, fetched, names, shallow=False)
    if len(same) != count:
        sys.exit(f"other files came back than were sent: {different[:9]}, and without {missing[:9]}")
    print(json.dumps({"upload": uploaded - started, "download": downloaded - uploaded}))


if __name__ == "__main__":
    uri, count, size, directory = sys.argv[1:]
    main(uri, int(count), int(size), Path(directory))
