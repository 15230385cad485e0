"""Fixtures that all tests share, and the rule that CI skips nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import hypothesis
import pytest

from tests.support.cookies import no_cookies
from tests.support.programs import on_path
from tests.support.server import Server, clean_environment, running

pytest_plugins = ["tests.support.nginx_fixtures", "tests.support.s3_fixtures"]

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with default settings that tests share: each writes below `folder` only."""
    with running(tmp_path_factory.mktemp("shared") / "root") as started:
        yield started


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> str:
    """A directory of the artifact root that is this test's own."""
    return "".join(c if c.isalnum() else "-" for c in request.node.nodeid)[-80:].strip("-")


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    """A client that tests share, also between threads: making one is slow. It keeps no cookies."""
    limits = httpx.Limits(max_connections=50)
    with httpx.Client(timeout=60, limits=limits, cookies=no_cookies()) as opened:
        yield opened


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts further servers, by default over tmp_path/root, with the flags given."""
    with ExitStack() as stack:

        def started(*arguments: str, root: Path | str | None = None, **environment: str) -> Server:
            number = len(list(tmp_path.glob("server-*.log")))
            return stack.enter_context(
                running(
                    root or tmp_path / "root",
                    *arguments,
                    environment=environment,
                    log_file=tmp_path / f"server-{number}.log",
                )
            )

        yield started


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the settings of the server and of MLflow out of this process's environment."""
    for name in set(os.environ) - set(clean_environment()):
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def need() -> Callable[[str], str]:
    """The path of a program; without it the test is skipped by name, and fails in CI."""

    def find(program: str) -> str:
        path = on_path(program)
        if path is None:
            pytest.skip(f"{program} is not installed; scripts/setup installs it")
        return path

    return find


@pytest.fixture(scope="session")
def need_root() -> None:
    """For mounts and device files; without the right the test is skipped, and fails in CI."""
    if os.geteuid() != 0:
        pytest.skip("only root may do this")


@pytest.fixture(scope="session")
def need_containers(need_root: None, need: Callable[[str], str]) -> None:
    """For namespaces of a test's own, which an ordinary container does not let root make."""
    tried = subprocess.run([need("unshare"), "--mount", "--pid", "--fork", "true"], check=False)
    if tried.returncode != 0:
        pytest.skip("root may make no namespaces here")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return  # a worker, whose results the controller sees
    skipped = reporter.stats.get("skipped", [])
    if skipped and os.environ.get("CI"):
        reporter.write_line(f"{len(skipped)} skipped, which is a failure in CI", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
