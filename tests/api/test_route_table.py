"""Every route of the running app against a table of who may use it, with each kind of credential."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import BaseRoute, Mount, Route

from app import config
from app.main import create_app, open_storage
from tests.support.access import access_file, basic, bearer
from tests.support.archives import packed
from tests.support.bystander import unchanged
from tests.support.callers import ISSUER, PERMISSIONS, PROXY, Callers
from tests.support.guarded import DENIED, SAME, UNKNOWN, guarded, told
from tests.support.oidc import claims, rsa_key
from tests.support.presigning import REDIRECT_ABOVE, Place
from tests.support.raw import exchange, head
from tests.support.route_table import CASES, DIRECT, FILES, KNOWN, NAMES, PUBLIC, STORED, TABLE, UI
from tests.support.server import Server
from tests.support.variants import VARIED

WALKING = ("none", *PERMISSIONS, "all")
"""Whose tokens are tried on every route."""
NOWHERE = "/no/such/route"
_BODIES: dict[str, object] = {
    "create": {"path": "new", "num_parts": 1},
    "complete": {"path": "new", "upload_id": "none", "parts": [{"part_number": 1, "etag": "e", "url": None}]},
    "abort": {"path": "new", "upload_id": "none"},
}


def walked(routes: Sequence[BaseRoute]) -> Iterator[tuple[str, str]]:
    """The template of every route, with each of its methods."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from walked(included.routes)
        elif isinstance(route, Mount):
            yield from ((route.path, method) for method in ("GET", "HEAD"))  # files
        else:
            assert isinstance(route, Route)
            yield from ((route.path, method) for method in route.methods or ())


IN_S3 = {"default_artifact_root": "s3://bucket", "s3_region": "us-east-1", "s3_signature_version": "unsigned"}


@pytest.mark.parametrize(
    "given",
    [{}, IN_S3 | {"presign": True}, VARIED, {"ui": False}],
    ids=["by default", "presigning", "varied", "without the page"],
)
def test_no_route_is_missing_in_the_table(
    tmp_path: Path, no_variables: None, given: dict[str, str | bool]
) -> None:
    settings = config.load({"default_artifact_root": str(tmp_path)} | given, None).settings
    with closing(open_storage(settings, prepare=True)) as storage:
        routes = create_app(settings, storage).routes
        left_out = UI if settings.ui is False else []
        assert sorted(set(walked(routes))) == sorted(case for case in CASES if case[0] not in left_out)


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Callers:
    return Callers(tmp_path_factory.mktemp("callers"))


@pytest.fixture(scope="module")
def known(callers: Callers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server over a local root, whose files a reverse proxy may send."""
    flags = ("--accel-redirect", "/_files")
    with guarded(tmp_path_factory.mktemp("table"), *callers.stanzas, flags=flags) as server:
        (server.root / "d").mkdir()
        (server.root / "d" / "a").write_bytes(b"data")
        yield server


@pytest.fixture(scope="module")
def direct(
    start: Callable[..., Any], place: Place, callers: Callers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One over a root in S3, past which clients may transfer."""
    file = access_file(tmp_path_factory.mktemp("direct"), *callers.stanzas)
    flags = ("--presign", "--presign-redirect-above", str(REDIRECT_ABOVE), "--access-file", str(file))
    with start(*flags) as server:
        for name, content in (("a", b"data"), ("big", bytes(REDIRECT_ABOVE + 1))):
            stored = httpx.put(
                f"{server.native}/d/{name}", content=content, headers=bearer(callers.token["all"])
            )
            assert stored.status_code in {200, 201}
        yield server


def asked(
    server: Server, client: httpx.Client, template: str, method: str, name: str = "a", **options: Any
) -> httpx.Response:
    """A request that succeeds for whoever may make it, of an artifact that is there."""
    target = template.replace("{path:path}", f"d/{name}").replace("{directory:path}", "d")
    if template == "/docs/static":
        target += "/swagger-ui.css"
    if template.startswith("/ui/static/"):
        target = "/ui/static/favicon.svg"
    step = re.search(r"/mpu/(\w+)/", template)
    if step:
        options["json"] = _BODIES[step[1]]
    elif TABLE[template].get("POST") == "write" and method in {"PUT", "POST"}:
        if method == "POST":
            options["files"] = {"file": (name, b"new")}
        else:
            options |= {"params": {"archive": "tar"}, "content": packed("tar", {name: b"new"})}
    elif method == "PUT":
        options["content"] = b"new"
    return client.request(method, server.url + target, **options)


_numbers = itertools.count()


def answers(got: httpx.Response, template: str, *, local: bool) -> bool:
    """Whether the server did what it was asked, as far as it can."""
    if local and template in DIRECT:
        return got.status_code == 501
    if "/complete/" in template or "/abort/" in template:
        return got.status_code == 404  # there is no such upload
    return got.is_success or (template in {"/", "/ui/", "/v1/login"} and got.is_redirect)


def expect(status: tuple[int, str], got: httpx.Response, method: str) -> bool:
    return got.status_code == status[0] if method == "HEAD" else told(got) == status


class TestWithoutAKnownCredential:
    @pytest.mark.parametrize(("template", "method"), CASES, ids=NAMES)
    def test_nothing_answers_but_what_is_public(
        self, known: Server, client: httpx.Client, callers: Callers, template: str, method: str
    ) -> None:
        with unchanged(known):
            for name, headers in callers.wrong.items():
                got = asked(known, client, template, method, headers=headers)
                if TABLE[template][method] == PUBLIC:
                    assert answers(got, template, local=True), name
                    continue
                assert expect(UNKNOWN, got, method), name
                challenges = got.headers.get_list("www-authenticate")
                assert sorted(challenge.split()[0] for challenge in challenges) == ["Basic", "Bearer"], name

    @pytest.mark.parametrize("template", STORED)
    def test_nor_does_what_is_in_s3_or_goes_past_the_server(
        self, direct: Server, client: httpx.Client, callers: Callers, place: Place, template: str
    ) -> None:
        with unchanged(place):
            for name, headers in callers.wrong.items():
                for method in TABLE[template]:
                    got = asked(direct, client, template, method, headers=headers)
                    assert expect(UNKNOWN, got, method), (method, name)

    def test_what_is_nowhere_is_not_told_from_what_is_somewhere(
        self, known: Server, client: httpx.Client, callers: Callers
    ) -> None:
        answered = set()
        for target in (
            NOWHERE,
            "/v1/session/",
            "/v1/artifacts/d/a",
            "/v1/artifacts/none",
            "/v1/artifacts/../x",
            "/health/",
        ):
            for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
                got = client.request(method, known.url + target, headers=SAME)
                answered.add((got.status_code, got.content))
        assert [status for status, _ in answered] == [401]
        admitted = client.get(known.url + NOWHERE, headers=bearer(callers.token["none"]))
        assert told(admitted) == (404, "ENDPOINT_NOT_FOUND")

    def test_only_looking_at_the_health_is_public(self, known: Server, client: httpx.Client) -> None:
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert client.request(method, f"{known.url}/health").status_code == 401
        for target in ("/%68ealth", "/HEALTH", "//health", "/health;x", "/x/../health"):
            assert exchange(known.url, head("GET", target)).status == 401


class TestWithEachPermissionAlone:
    @pytest.mark.parametrize(("template", "method"), CASES, ids=NAMES)
    def test_only_what_it_is_for_answers(
        self, known: Server, client: httpx.Client, callers: Callers, template: str, method: str
    ) -> None:
        self.walk(known, known, client, callers, template, method)

    @pytest.mark.parametrize("template", [*STORED, *(each for each in TABLE if "server-info" in each)])
    def test_and_in_s3_and_past_the_server(
        self, direct: Server, place: Place, client: httpx.Client, callers: Callers, template: str
    ) -> None:
        for method in TABLE[template]:
            self.walk(direct, place, client, callers, template, method)

    def walk(
        self,
        server: Server,
        storage: Server | Place,
        client: httpx.Client,
        callers: Callers,
        template: str,
        method: str,
    ) -> None:
        takes = TABLE[template][method]
        permitted = [name for name in WALKING if takes in {PUBLIC, KNOWN, name} or name == "all"]
        with unchanged(storage):
            for name in WALKING:
                if name not in permitted:
                    got = asked(server, client, template, method, headers=bearer(callers.token[name]))
                    assert expect(DENIED, got, method), (name, method, got.status_code, got.text)
        for name in permitted:
            artifact = "a" if method in {"GET", "HEAD"} else f"new-{next(_numbers)}"
            got = asked(server, client, template, method, artifact, headers=bearer(callers.token[name]))
            done = answers(got, template, local=isinstance(storage, Server))
            assert done, (name, method, got.status_code, got.text)


class TestDownloadsThatOthersSend:
    """They take permission to read, like all others."""

    @pytest.mark.parametrize("template", FILES)
    def test_the_store_after_a_redirect(
        self, direct: Server, client: httpx.Client, callers: Callers, template: str
    ) -> None:
        for name in WALKING:
            got = asked(direct, client, template, "GET", "big", headers=bearer(callers.token[name]))
            redirected = name in {"read", "all"}
            assert told(got) == ((307, None) if redirected else DENIED), name
            assert ("location" in got.headers) is redirected, name

    @pytest.mark.parametrize("template", FILES)
    def test_the_reverse_proxy(
        self, known: Server, client: httpx.Client, callers: Callers, template: str
    ) -> None:
        for name in WALKING:
            headers = bearer(callers.token[name]) | {"X-Forwarded-For": "192.0.2.1"}
            got = asked(known, client, template, "GET", headers=headers)
            told_to = "/_files/d/a" if name in {"read", "all"} else None
            assert told(got) == ((200, None) if told_to else DENIED), name
            assert got.headers.get("x-accel-redirect") == told_to, name


class TestWithOtherGoodCredentials:
    def test_each_way_to_be_known_is_enough(
        self, known: Server, client: httpx.Client, stranger: httpx.Client, callers: Callers
    ) -> None:
        token = callers.token["all"]
        good = [bearer(token), basic(token), basic(token, ""), bearer(rsa_key().sign(claims(ISSUER)))]
        good += [{"authorization": f"bEARER   {token}"}, basic(rsa_key().sign(claims(ISSUER)))]
        for headers in good:
            assert client.get(f"{known.native}/d/a", headers=headers).content == b"data"
        assert stranger.get(f"{known.native}/d/a", headers={"X-Forwarded-User": "bob"}).content == b"data"

    def test_what_else_a_request_shows_was_for_the_proxy(
        self, known: Server, stranger: httpx.Client, callers: Callers
    ) -> None:
        for name, headers in callers.wrong.items():
            if "X-Forwarded-User" not in dict(headers):
                named = [*headers, ("X-Forwarded-User", "bob")]
                assert stranger.get(f"{known.native}/d/a", headers=named).content == b"data", name

    def test_the_proxy_must_name_one_user(self, known: Server, stranger: httpx.Client) -> None:
        named = ("X-Forwarded-User", "bob")
        for headers in ([], [("X-Forwarded-User", "")], [named, named], [("X_Forwarded_User", "bob")]):
            assert told(stranger.get(f"{known.native}/d/a", headers=headers)) == UNKNOWN

    def test_a_forwarded_address_makes_nobody_the_proxy(self, known: Server, client: httpx.Client) -> None:
        for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded"):
            value = f"for={PROXY}" if name == "Forwarded" else PROXY
            headers = {name: value, "X-Forwarded-User": "root"}
            assert told(client.get(f"{known.native}/d/a", headers=headers)) == UNKNOWN

    def test_names_of_hosts_must_be_listed_as_an_address_can_be_a_credential(
        self, known: Server, client: httpx.Client, callers: Callers
    ) -> None:
        for host, status in (("localhost:1", 200), ("127.0.0.1", 200), ("ml.example.com", 421)):
            headers = bearer(callers.token["all"]) | {"Host": host}
            assert client.get(f"{known.native}/d/a", headers=headers).status_code == status
