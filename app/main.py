"""The only place where the parts are put together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from app import __version__, malloc
from app.api import artifacts, docs, mlflow, problems, system
from app.api.access import Access
from app.api.direct import DirectGateway
from app.api.forwarded import Forwarded
from app.api.gateway import Gateway
from app.api.target import RawTarget
from app.api.threads import StorageThreads, finished
from app.config import Settings, settings_class
from app.storage import registry
from app.storage.base import Storage

logger = logging.getLogger(__name__)


def open_storage(settings: Settings, *, prepare: bool) -> Storage:
    """The storage that the settings name; see `registry.open_storage`."""
    return registry.open_storage(
        settings.default_artifact_root, settings, read_only=settings.read_only, prepare=prepare
    )


def open_app(values: Mapping[str, Any]) -> FastAPI:
    """The application as a server process runs it, with a storage of its own.

    Takes the values of the settings, which is what can be sent to another process. The root in
    them has been resolved and prepared by the process that starts the others.
    """
    malloc.tune()
    settings = settings_class()(**values)
    try:
        return create_app(settings, open_storage(settings, prepare=False))
    except ValueError as error:
        # Whoever started this process tries again until the root is back.
        raise SystemExit(f"artifact-proxy: {error}.") from None


def create_app(settings: Settings, storage: Storage) -> FastAPI:
    """The application over `storage`, which it closes when it ends."""
    threads = StorageThreads(settings.storage_threads)
    access = Access(read_only=settings.read_only, no_delete=settings.no_delete)
    direct = DirectGateway(storage, threads, access, storage.direct if settings.presign else None)
    gateway = Gateway(
        storage,
        threads,
        access,
        direct,
        redirect_above=settings.presign_redirect_above,
        accel_redirect=settings.accel_redirect,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        interval = min(settings.sweep_interval, storage.sweep_every or settings.sweep_interval)
        sweeper = asyncio.create_task(_sweep(storage, threads, interval))
        yield
        sweeper.cancel()
        await finished(sweeper)
        threads.close()
        storage.close()

    app = FastAPI(
        title="artifact-proxy",
        version=__version__,
        summary="Artifacts over HTTP, for MLflow clients and all others",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(system.router(direct=direct.enabled))
    app.include_router(artifacts.router(gateway))
    for name_prefix in mlflow.PREFIXES:
        app.include_router(mlflow.router(gateway, direct, name_prefix))
    docs.install(app)
    problems.install(app)
    app.add_middleware(RawTarget, static_prefix=settings.static_prefix, root_path=settings.root_path)
    app.add_middleware(Forwarded, trusted=settings.forwarded_allow_ips)
    return app


async def _sweep(storage: Storage, threads: StorageThreads, interval: float) -> None:
    """Removes what crashed servers left, now and every `interval` seconds."""
    while True:
        try:
            swept = await threads.run(storage.sweep)
            if swept:
                logger.info("Removed %d uploads that nobody had finished.", swept)
        except Exception:
            logger.exception("Could not look for unfinished uploads; will try again.")
        await asyncio.sleep(interval)
