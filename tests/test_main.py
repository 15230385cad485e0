"""The parts put together: what the application does beside answering, and when something is amiss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from app.main import create_app
from app.paths import ArtifactPath
from app.settings import Settings, settings_class
from app.storage.base import Download
from app.storage.entry import Entry
from app.storage.local import LocalSettings, LocalStorage, open_storage
from app.storage.ranges import ByteRange
from tests.support.artifacts import put
from tests.support.event_loop import run, until


def opened(root: Path) -> LocalStorage:
    return open_storage(str(root), LocalSettings.model_validate({}), read_only=False)


def settings(**values: Any) -> Settings:
    return settings_class()(**values)


def test_the_sweeper_goes_on_after_any_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    storage = opened(tmp_path / "root")
    sweeps: list[int] = []

    def sweep() -> int:
        sweeps.append(len(sweeps))
        if len(sweeps) < 3:
            raise RuntimeError("a defect")
        return 2

    monkeypatch.setattr(storage, "sweep", sweep)
    app = create_app(settings(sweep_interval=0.001), storage)

    async def main() -> None:
        async with app.router.lifespan_context(app):
            await until(lambda: len(sweeps) >= 4)

    caplog.set_level("INFO")
    run(main())
    assert caplog.text.count("Could not look") == 2
    assert "Removed 2 uploads" in caplog.text


def test_a_defect_is_a_500_in_json_that_shows_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = opened(tmp_path / "root")

    def read(path: ArtifactPath, wanted: ByteRange | None = None) -> Download:
        raise RuntimeError("a secret defect")

    monkeypatch.setattr(storage, "read", read)
    transport = httpx.ASGITransport(create_app(settings(), storage), raise_app_exceptions=False)

    async def main() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await client.get("/v1/artifacts/a")
        assert answer.status_code == 500
        assert answer.json()["error_code"] == "INTERNAL_ERROR"
        assert "secret" not in answer.text

    run(main())


def test_a_storage_failure_is_logged_with_its_cause_and_answered_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "root"
    storage = opened(root)
    transport = httpx.ASGITransport(create_app(settings(), storage))
    root.rename(tmp_path / "elsewhere")

    async def main() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await client.get("/v1/artifacts/a")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert str(root) not in answer.text

    run(main())
    assert str(root) in caplog.text


@pytest.mark.parametrize("able", [False, True], ids=["storage cannot", "storage can"])
@pytest.mark.parametrize("wanted", [False, True], ids=["not wanted", "wanted"])
def test_direct_transfers_are_announced_where_the_storage_has_them_and_the_operator_wants_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, able: bool, wanted: bool
) -> None:
    class Direct:
        def download(self, entry: Entry, disposition: str) -> str:
            return f"http://store.test/{entry.path}?{disposition}"

    storage = opened(tmp_path / "root")
    put(storage, "d/a", b"12345")
    monkeypatch.setattr(storage, "direct", Direct() if able else None)
    transport = httpx.ASGITransport(create_app(settings(presign=wanted), storage))

    async def main() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            for api in ("api", "ajax-api"):
                info = (await client.get(f"/{api}/3.0/mlflow/server-info")).json()
                for power in ("multipart_uploads_enabled", "multipart_downloads_enabled"):
                    assert info[power] is (able and wanted)
                answer = await client.get(f"/{api}/2.0/mlflow-artifacts/presigned/d/a")
                if not (able and wanted):
                    assert answer.status_code == 501
                    continue
                url = "http://store.test/d/a?attachment; filename=a"
                assert answer.json() == {"url": url, "headers": {}, "file_size": 5}
                assert answer.headers["cache-control"] == "no-store"

    run(main())


@pytest.mark.parametrize("field", ["static_prefix", "accel_redirect"])
def test_a_path_of_the_operator_can_hide_none_of_the_routes(tmp_path: Path, field: str) -> None:
    app = create_app(settings(), opened(tmp_path / "root"))
    routes = {"/docs", "/openapi.json", *app.openapi()["paths"]}
    for route in {"/" + path.split("/")[1] for path in routes}:
        with pytest.raises(ValidationError, match="routes of the server itself"):
            settings(**{field: route})
