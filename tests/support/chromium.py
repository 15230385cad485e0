"""A real Chromium that visits the page, and all that it complains about meanwhile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    WebError,
    expect,
    sync_playwright,
)

_FEATURES = (
    # Two windows of the browser's own, drawn as pages with each context, and a process kept ready:
    # they take several times as long as the page itself.
    *("WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "SpareRendererForSitePerProcess"),
    # Those of playwright's list, in whose place this one comes, that could matter here.
    *("AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades"),
    *("MediaRouter", "OptimizationHints", "PaintHolding"),
)
FLAGS = (
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={','.join(_FEATURES)}",
    "--host-resolver-rules=MAP *.example.com 127.0.0.1",
)
NAME = "artifacts.example.com"
"""Under which browsers reach this machine, and trust it less than under its address."""
LESS_TRUSTED = "Cross-Origin-Opener-Policy header has been ignored"
"""What a browser says about that."""
PATIENCE = 20_000
"""Milliseconds until what was promised must be there, however busy the machine."""
expect.set_options(timeout=PATIENCE)
_AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
_LOCAL_SCHEMES = {"about", "blob", "data"}


@contextmanager
def chromium(program: str, *flags: str) -> Iterator[Browser]:
    """With no profile, and further `flags`; meanwhile this thread has an event loop that runs."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            browser.close()


class Complaints:
    """What no visit may cause, unless the test said that it would come.

    That is errors and warnings on the console, which also tell of violated policies and of answers that
    are errors; exceptions that nobody caught; the browser's own dialogs; further windows; and requests to
    other origins that no policy held back.
    """

    def __init__(self) -> None:
        self._complaints: list[str] = []
        self._expected: dict[str, bool] = {}
        self._origins: set[str] = set()
        self._foreign: dict[Request, str] = {}

    def expect(self, *patterns: str) -> None:
        """Says that each of these will come at least once."""
        self._expected |= dict.fromkeys(patterns, False)

    def watch(self, context: BrowserContext, origin: str) -> None:
        self._origins.add(origin)
        context.on("console", self._on_console)
        context.on("weberror", self._on_exception)
        context.on("dialog", self._on_dialog)
        context.on("request", self._on_request)
        context.on("requestfailed", self._on_failure)

    def check(self) -> None:
        """Nothing else came, and all that was expected did. From here on nothing is expected."""
        complaints = self._complaints + [f"a request left for {url}" for url in self._foreign.values()]
        unexpected = [complaint for complaint in complaints if not self._is_expected(complaint)]
        missing = [pattern for pattern, came in self._expected.items() if not came]
        self._complaints.clear()
        self._foreign.clear()
        self._expected.clear()
        assert not unexpected, "\n".join(unexpected)
        assert not missing, f"these were expected and did not come: {missing}"

    def _is_expected(self, complaint: str) -> bool:
        found = [pattern for pattern in self._expected if re.search(pattern, complaint)]
        self._expected |= dict.fromkeys(found, True)
        return bool(found)

    def on_window(self, opened: Page) -> None:
        self._complaints.append(f"a further window: {opened.url}")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._complaints.append(f"{message.type}: {message.text} ({message.location['url']})")

    def _on_exception(self, error: WebError) -> None:
        self._complaints.append(f"exception: {error.error}")

    def _on_dialog(self, dialog: Dialog) -> None:
        self._complaints.append(f"{dialog.type} dialog: {dialog.message}")
        dialog.dismiss()

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in _LOCAL_SCHEMES and f"{parts.scheme}://{parts.netloc}" not in self._origins:
            self._foreign[request] = request.url

    def _on_failure(self, request: Request) -> None:
        # It is announced before the policy is asked, so this one has never left.
        if request.failure == "csp":
            self._foreign.pop(request, None)


class Visitor:
    """Whoever opens pages, each time with a browser that knows nothing of the times before."""

    def __init__(self, browser: Browser, complaints: Complaints) -> None:
        self._browser = browser
        self._complaints = complaints
        self._contexts: list[BrowserContext] = []

    def arrive(self, url: str, **options: Any) -> Page:
        """An empty page of a new context with these `options`, for visits to the server of the `url`."""
        context = self._browser.new_context(service_workers="block", **options)
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE)
        parts = urlsplit(url)
        self._complaints.watch(context, f"{parts.scheme}://{parts.netloc}")
        page = context.new_page()
        context.on("page", self._complaints.on_window)
        return page

    def open(self, url: str, place: str = "", **options: Any) -> Page:
        """The page of the server at `url`, at a `place`: `a/` is a directory, `a/b` an artifact."""
        page = self.arrive(url, **options)
        page.goto(f"{url}/ui#/{place}")
        return page

    def leave(self) -> None:
        for context in self._contexts:
            context.close()


@contextmanager
def visiting(browser: Browser, complaints: Complaints) -> Iterator[Visitor]:
    """Nothing was wrong in the end, except what was expected."""
    visitor = Visitor(browser, complaints)
    try:
        yield visitor
    finally:
        visitor.leave()
    complaints.check()


def inaccessible(page: Page, *rules: str) -> list[str]:
    """What axe-core has against the page as it is now, each with the elements that it means.

    It goes by the `rules` with these names, or else by all that it has, and by that for fingers.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(_AXE)
    options = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
    if rules:
        options["runOnly"] = list(rules)
    found = page.evaluate("options => axe.run(options)", options)
    return [
        f"{violation['id']}: {violation['help']}: {[node['html'][:200] for node in violation['nodes']]}"
        for violation in found["violations"]
    ]


def drop(page: Page, target: str, *files: Path) -> None:
    """Drags files and folders from the desktop onto the element that the selector `target` means."""
    box = page.locator(target).bounding_box()
    assert box, f"{target} is not to be seen"
    where = {"x": box["x"] + box["width"] / 2, "y": box["y"] + min(box["height"] / 2, 100)}
    data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for step in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": step, **where, "data": data})
    session.detach()


@contextmanager
def slow_uploads(page: Page, bytes_per_second: int) -> Iterator[None]:
    """Inside the block what the page sends takes its time."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")

    def limit(throughput: int) -> None:
        conditions = {"offline": False, "latency": 0, "downloadThroughput": -1}
        session.send("Network.emulateNetworkConditions", {**conditions, "uploadThroughput": throughput})

    limit(bytes_per_second)
    try:
        yield
    finally:
        limit(-1)
        session.detach()


def settled(page: Page) -> Page:
    """The page, once it has loaded what it wants to show."""
    page.locator("main[aria-busy=false], main:not([aria-busy])").wait_for()
    return page
