"""Requests that take the short way to their route are answered as on the long one."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.types import Message, Scope

from app import config
from app.api.shortcut import Shortcut
from app.api.visit import Visit
from app.main import create_app, open_storage
from tests.support.route_table import DIRECT, FILES, STORED, TABLE

TEMPLATES = [template for template in [*STORED, *DIRECT] if template.endswith("/{path:path}")]
METHODS = ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH", "OPTIONS", "TRACE", "get", "BREW"]
NAMES = [
    *("a", "d/a", "d/new", "new", "d", "none", "a/x", "a?path=d", "a%3Fx", "d%2Fa", "a%20b", "%C3%A9"),
    *("a?view=frame", "a?view=x"),
    *("", "/", "d/", "d//", "none/", "a%2F", "d/%2F", "/a", "d//a", "..", "../a", "./a", "%2e%2e/a", "."),
    *("%", "%zz", "%ff", "%00", "a%0Ab", "a;b", "a\\b", "a%25", "\xe9", "*", ".artifact-proxy/staging/x"),
]
ELSEWHERE = [
    *("/", "", "*", "/v1/artifacts", "/v1/artifacts%2Fa", "/v1%2Fartifacts/a", "/V1/artifacts/a"),
    *("//v1/artifacts/a", "/v1/artifactsx/a", "/v1//artifacts/a", "/x/v1/artifacts/a", "/health/a"),
    *("/api/2.0/mlflow-artifacts/artifacts", "/api/2.0/mlflow-artifacts/artifacts?path=d"),
    *("/api/2.0/mlflow-artifacts/presigned", "/api/2.0/mlflow-artifacts/mpu/create/d", "/docs/a"),
]
PREFIX, ROOT_PATH = "/team/mlflow", "/shown/at"
HEADERS: list[dict[str, str]] = [
    {"If-None-Match": "*"},
    {"If-Match": '"other"'},
    {"Range": "bytes=1-2"},
    {"Range": "bytes=100-"},
    {"Content-Encoding": "gzip"},
    {"Content-Range": "bytes 0-0/5"},
    {"Content-Length": "9"},
    {"Repr-Digest": "sha-256=:AAAA:"},
    {"Expect": "100-continue", "If-Match": '"other"'},
    {"X-MLflow-Workspace": "mine"},
    {"Cookie": "a=b", "Accept-Encoding": "gzip"},
]


@dataclass
class Answer:
    """All but what differs between any two requests."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    failure: str | None = None
    visit: dict[str, Any] = field(default_factory=dict)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = {b"date", b"etag", b"last-modified"}
            self.headers = sorted(each for each in message["headers"] if each[0] not in own)
        self.body += re.sub(rb'"etag":"[^,]*"', b"", bytes(message.get("body", b"")))

    def note(self, visit: Visit) -> None:
        told = ("route", "action", "path", "error", "status", "sent", "received", "complete", "gone")
        self.visit = {name: getattr(visit, name) for name in told}


class Twins:
    """An application over a root, and the same without the shortcut."""

    def __init__(
        self,
        root: Path,
        loop: asyncio.Runner,
        apps: list[FastAPI],
        visits: list[Visit],
        taken: list[bool],
    ) -> None:
        self.root = root
        self.taken = taken
        """For each request so far, whether it took the shortcut."""
        self._loop = loop
        self._apps = apps
        self._visits = visits

    def ask(self, method: str, target: str, headers: dict[str, str] | None = None) -> tuple[Answer, Answer]:
        with_it, without = (self._loop.run(self._asked(app, method, target, headers)) for app in self._apps)
        return with_it, without

    async def _asked(self, app: FastAPI, method: str, target: str, headers: dict[str, str] | None) -> Answer:
        path, _, query = target.partition("?")
        given = {"Host": "localhost", "X-Request-Id": "same"} | (headers or {})
        scope: Scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        messages = [{"type": "http.request", "body": b"new", "more_body": False}]

        async def receive() -> Message:
            if messages:
                return messages.pop()
            return await asyncio.Future()

        answer = Answer()
        try:
            await app(scope, receive, answer.send)
        except Exception as failure:
            answer.failure = repr(failure)
        answer.note(self._visits.pop())
        if method in {"PUT", "DELETE"}:
            fresh(self.root)
        return answer


def fresh(root: Path) -> None:
    """The root as it was before all requests."""
    for child in root.iterdir():
        if child.name != ".artifact-proxy":
            shutil.rmtree(child) if child.is_dir() else child.unlink()
    (root / "d").mkdir()
    for name in ("a", "d/a"):
        (root / name).write_bytes(b"data")
        os.utime(root / name, (1e9, 1e9))


def opened(root: Path, visits: list[Visit], **given: str) -> Iterator[Twins]:
    values = {"default_artifact_root": str(root), "durability": "none", "storage_threads": "1"} | given
    settings = config.load(values, None).settings
    storage = open_storage(settings, prepare=True)

    taken: list[bool] = []

    class Noted(Shortcut):
        def _find(self, scope: Scope) -> Any:
            found = super()._find(scope)
            taken.append(found is not None)
            return found

    class Bypassed(Shortcut):
        def _find(self, scope: Scope) -> None:
            return None

    with (
        closing(storage),
        pytest.MonkeyPatch.context() as patched,
        asyncio.Runner() as loop,
    ):
        patched.setattr("app.main.measure", lambda _, visit: visits.append(visit))
        patched.setattr("app.main.Shortcut", Noted)
        apps = [create_app(settings, storage)]
        patched.setattr("app.main.Shortcut", Bypassed)
        apps.append(create_app(settings, storage))
        stack = AsyncExitStack()

        async def all_begin() -> None:
            for app in apps:
                await stack.enter_async_context(app.router.lifespan_context(app))

        loop.run(all_begin())
        fresh(root)
        try:
            yield Twins(root, loop, apps, visits, taken)
        finally:
            loop.run(stack.aclose())


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    yield from opened(tmp_path_factory.mktemp("plain") / "root", [])


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    root = tmp_path_factory.mktemp("prefixed") / "root"
    yield from opened(root, [], static_prefix=PREFIX, root_path=ROOT_PATH)


def require_the_same(answers: tuple[Answer, Answer]) -> Answer:
    short, long = answers
    assert short == long
    return short


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_path_is_answered_the_same_by_every_method(twins: Twins, template: str) -> None:
    start = template.removesuffix("{path:path}")
    statuses = set()
    for method in METHODS if template in FILES[:2] else ("GET", "PUT", "OPTIONS"):
        for name in NAMES:
            answer = require_the_same(twins.ask(method, start + name))
            statuses.add(answer.status)
            if name in {"a", "d%2Fa", "%zz", ".."} and method in TABLE[template]:
                assert answer.visit["route"] == template
    assert statuses >= ({200, 204, 400, 404} if template in FILES else {204, 400, 405, 501})


@pytest.mark.parametrize("template", TEMPLATES)
def test_so_is_whatever_its_headers_ask_for(twins: Twins, template: str) -> None:
    for method in TABLE[template]:
        for headers in HEADERS:
            for name in ("a", "d/"):
                require_the_same(twins.ask(method, template.replace("{path:path}", name), headers))


def test_what_looks_alike_is_no_other_route(twins: Twins) -> None:
    for method in METHODS:
        for target in ELSEWHERE:
            require_the_same(twins.ask(method, target))


@pytest.mark.parametrize(
    "before", ["", PREFIX, PREFIX + PREFIX, PREFIX[:-1], PREFIX + "x", ROOT_PATH, "/team%2Fmlflow", "/"]
)
def test_prefixes_are_taken_off_the_same(prefixed: Twins, before: str) -> None:
    for template in TEMPLATES:
        for method in ("GET", "PUT", "OPTIONS"):
            for name in ("a", "d/", "", "..", "team/mlflow/a"):
                target = before + template.replace("{path:path}", name)
                answer = require_the_same(prefixed.ask(method, target))
                found = before in {"", PREFIX} and method in TABLE[template]
                assert prefixed.taken[-1] is (found and name in {"a", "..", "team/mlflow/a"})
                assert not found or name == "" or answer.visit["route"] is not None


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize("defect", [RuntimeError, ZeroDivisionError])
def test_a_defect_is_one_either_way(
    twins: Twins, monkeypatch: pytest.MonkeyPatch, method: str, defect: type[Exception]
) -> None:
    def fail(*given: object) -> None:
        raise defect("made by a test")

    monkeypatch.setattr("app.paths._judge", fail)
    answer = require_the_same(twins.ask(method, "/v1/artifacts/a"))
    assert answer.status == 500
    assert answer.failure == repr(defect("made by a test"))
