"""The only place where the parts are put together."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI

from app import __version__, malloc, tracing
from app.api import artifacts, docs, mlflow, openapi, problems, session, system, ui
from app.api.access import Access
from app.api.admission import Admission
from app.api.authentication import Authentication
from app.api.bodies import JsonBodies
from app.api.cors import Cors
from app.api.direct import DirectGateway
from app.api.drain import Drain
from app.api.folders import routes as folders
from app.api.folders.gateway import FolderGateway
from app.api.forwarded import Forwarded
from app.api.gateway import Gateway
from app.api.hosts import ANY_ADDRESS, Hosts
from app.api.limits import Limits
from app.api.measurements import measure
from app.api.pace import Pace
from app.api.quotas import Quotas
from app.api.readiness import Readiness
from app.api.records import auditing, log_access
from app.api.server_spans import ServerSpans
from app.api.shortcut import Shortcut
from app.api.target import RawTarget
from app.api.threads import StorageThreads
from app.api.visits import Observer, Visits, public_paths
from app.audit import AuditLog
from app.identity.identities import Identities
from app.reload import reloading
from app.settings import Settings, settings_class
from app.storage import registry
from app.storage.base import Storage
from app.storage.observed import ObservedStorage
from app.upkeep import kept_up
from app.values import names, quotas_of


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
        app = create_app(settings, open_storage(settings, prepare=False))
    except ValueError as error:
        # Whoever started this process tries again until the root is back.
        raise SystemExit(f"artifact-proxy: {error}.") from None
    # What there is by now stays for good, and the collector would look through it with each long listing.
    gc.collect()
    gc.freeze()
    return app


def create_app(settings: Settings, storage: Storage) -> FastAPI:
    """The application over `storage`, which it closes when it ends. Raises `InvalidAccessFile`, `OSError`."""
    storage = ObservedStorage(storage)
    identities = Identities(settings.access_file)
    audit = AuditLog(settings.audit_log)
    traced = tracing.opened()
    threads = StorageThreads(settings.storage_threads, settings.admission_timeout)
    access = Access(read_only=settings.read_only, no_delete=settings.no_delete)
    limits = Limits(
        transfers_per_identity=settings.max_transfers_per_identity,
        requests_per_second=settings.max_requests_per_second,
    )
    admission = Admission(
        limits,
        places=settings.max_transfers,
        memory=settings.transfer_memory,
        patience=settings.admission_timeout,
    )
    direct = DirectGateway(storage, threads, access, admission, storage.direct if settings.presign else None)
    quotas = Quotas(quotas_of(settings.quotas), storage.usage, threads)
    drain = Drain()
    readiness = Readiness(storage, drain)
    pace = Pace(settings.min_transfer_rate, settings.transfer_patience)
    gateway = Gateway(
        storage,
        threads,
        access,
        direct,
        admission,
        quotas,
        max_size=settings.max_artifact_size,
        pace=pace,
        redirect_above=settings.presign_redirect_above,
        accel_redirect=settings.accel_redirect,
    )
    folder_gateway = FolderGateway(
        storage, threads, access, admission, quotas, audit, max_size=settings.max_artifact_size, pace=pace
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with kept_up(storage, threads, quotas, readiness, settings.sweep_interval):
            with reloading(identities, audit):
                yield
            # First: what follows may hang with the storage.
            await asyncio.to_thread(audit.close)
            if traced:
                await asyncio.to_thread(traced.close)
        threads.close()
        folder_gateway.close()
        storage.close()

    app = FastAPI(
        title="artifact-proxy",
        version=__version__,
        summary="Artifacts over HTTP, for MLflow clients and all others",
        lifespan=lifespan,
        redirect_slashes=False,
        # Its spans tell paths and queries. See `app.tracing` and `app.metrics`.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(system.router(readiness, direct=direct.enabled))
    bodies = JsonBodies(pace)
    routers = [
        folders.router(folder_gateway),
        artifacts.router(gateway, folder_gateway),
        *(
            mlflow.router(gateway, direct, bodies, name_prefix, max_json=settings.max_json_size)
            for name_prefix in mlflow.PREFIXES
        ),
    ]
    for router in routers:
        app.include_router(router)
    if settings.ui:
        app.include_router(session.router())
        app.include_router(ui.router())
    docs.install(app)
    openapi.install(app)
    problems.install(app)
    app.state.drain = drain
    observers = [auditing(audit), measure, *([log_access] if settings.access_log else [])]
    _surround(app, routers, settings, identities, limits, observers, traced)
    return app


def _surround(
    app: FastAPI,
    routers: Sequence[APIRouter],
    settings: Settings,
    identities: Identities,
    limits: Limits,
    observers: Sequence[Observer],
    traced: tracing.Tracing | None,
) -> None:
    """The layers that every request passes, from the innermost to the outermost."""
    origins = names(settings.cors_allowed_origins)
    app.add_middleware(Shortcut, routers=routers)
    app.add_middleware(RawTarget, static_prefix=settings.static_prefix, root_path=settings.root_path)
    app.add_middleware(Authentication, identities=identities, limits=limits, cookies=settings.ui)
    if origins:
        # Before anybody is asked for credentials, which a browser's own question does not have.
        app.add_middleware(Cors, origins=origins)
    hosts = names(settings.allowed_hosts)
    app.add_middleware(
        Hosts,
        allowed=hosts or [ANY_ADDRESS, "localhost", settings.host],
        judged=lambda: bool(hosts) or _could_be_led_here(identities),
        origins=origins,
    )
    public = public_paths(settings.static_prefix, with_ui=settings.ui)
    app.add_middleware(Visits, public=public, observers=observers)
    if traced:
        app.add_middleware(ServerSpans, tracing=traced)
    app.add_middleware(Forwarded, trusted=settings.forwarded_allow_ips)


def _could_be_led_here(identities: Identities) -> bool:
    """Whether a page that has its own name mean this server would get something from it.

    It has no credential, so where none is asked for, or where the address that asks is one: that of a
    trusted proxy.
    """
    return not identities.required or bool(identities.headers)
