"""The session of the page's user: signing in and out."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from app.api.cookie import LONGEST, NAME
from tests.support.access import basic, bearer
from tests.support.callers import ISSUER, Callers
from tests.support.cookies import encoded, kept
from tests.support.guarded import DENIED, UNKNOWN, guarded, told
from tests.support.oidc import claims, rsa_key
from tests.support.server import Server

FRIEND = "https://app.example.com"
PAGES = [
    {"X-Requested-With": "XMLHttpRequest"},
    {"Sec-Fetch-Mode": "cors"},
    {"Sec-Fetch-Mode": "no-cors"},
    # A link of another page, which may have a name and a password in it.
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-site"},
]
PEOPLE = [
    {},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"},
]


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Callers:
    return Callers(tmp_path_factory.mktemp("callers"))


@pytest.fixture(scope="module")
def known(callers: Callers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that a friendly page may use, too."""
    flags = ("--cors-allowed-origins", FRIEND)
    with guarded(tmp_path_factory.mktemp("session"), *callers.stanzas, flags=flags) as server:
        (server.root / "d").mkdir()
        (server.root / "d" / "a").write_bytes(b"data")
        yield server


@pytest.fixture(scope="module")
def closed(callers: Callers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without the page."""
    with guarded(tmp_path_factory.mktemp("closed"), *callers.stanzas, flags=["--no-ui"]) as server:
        yield server


@pytest.fixture(scope="module")
def artifact(known: Server) -> str:
    return f"{known.native}/d/a"


@pytest.fixture(scope="module")
def session(known: Server) -> str:
    return f"{known.url}/v1/session"


@pytest.fixture(scope="module")
def signed_in(callers: Callers) -> dict[str, str]:
    """The header of a browser whose user may do everything."""
    return kept(callers.token["all"])


def attributes(answer: httpx.Response) -> list[str]:
    """Those of the cookie that is set, behind its value."""
    return answer.headers["set-cookie"].split("; ")[1:]


class TestSigningIn:
    def test_every_credential_is_kept_that_is_known(
        self, known: Server, session: str, artifact: str, callers: Callers
    ) -> None:
        token, jwt = callers.token["all"], rsa_key().sign(claims(ISSUER))
        for secret, headers in ((token, bearer(token)), (token, basic(token)), (jwt, bearer(jwt))):
            with httpx.Client() as browser:
                answer = browser.put(session, headers=headers)
                assert (answer.status_code, answer.content) == (204, b"")
                assert answer.headers["cache-control"] == "no-store"
                assert answer.headers["set-cookie"] == f"{NAME}={encoded(secret)}; HttpOnly; SameSite=Strict"
                assert browser.get(artifact).content == b"data"
                assert told(browser.get(f"{known.mlflow}/artifacts/d/a")) == UNKNOWN, "it is not for there"
                who = browser.get(session).json()
                assert who == browser.get(session, headers=headers).json() | {"cookie": True}

    @pytest.mark.parametrize("told_by", ["the proxy", "the page"])
    def test_under_tls_the_cookie_is_never_sent_without(
        self, client: httpx.Client, session: str, callers: Callers, told_by: str
    ) -> None:
        own = session.removesuffix("/v1/session")
        headers = {
            "the proxy": {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"},
            "the page": {"Origin": own.replace("http:", "https:")},
        }[told_by] | bearer(callers.token["all"])
        for method in ("PUT", "DELETE"):
            answer = client.request(method, session, headers=headers)
            assert attributes(answer)[-3:] == ["HttpOnly", "SameSite=Strict", "Secure"]

    def test_nothing_else_is_kept(self, client: httpx.Client, session: str, callers: Callers) -> None:
        for name, headers in callers.wrong.items():
            answer = client.put(session, headers=headers)
            assert told(answer) == UNKNOWN, name
            assert "set-cookie" not in answer.headers, name

    def test_what_no_browser_would_keep_is_refused_in_words(
        self, client: httpx.Client, session: str, artifact: str
    ) -> None:
        statuses = []
        for length in (1500, 2500):
            token = rsa_key().sign(claims(ISSUER, groups="x" * length))
            assert client.get(artifact, headers=bearer(token)).is_success
            answer = client.put(session, headers=bearer(token))
            statuses.append(answer.status_code)
            assert (len(encoded(token)) <= LONGEST) is answer.is_success
        assert statuses == [204, 400]
        assert f"browsers keep about {LONGEST}" in answer.json()["message"]
        assert "set-cookie" not in answer.headers

    def test_whom_the_proxy_names_needs_no_cookie(
        self, stranger: httpx.Client, session: str, callers: Callers
    ) -> None:
        named = {"X-Forwarded-User": "bob", "Origin": session.removesuffix("/v1/session")}
        for other in ({}, bearer(callers.token["all"]), kept(callers.token["all"])):
            headers = named | other
            answer = stranger.put(session, headers=headers)
            assert (answer.status_code, "set-cookie" in answer.headers) == (204, False)
            assert stranger.get(session, headers=headers).json() == {
                "identity": "bob",
                "kind": "proxy",
                "cookie": False,
            }

    def test_nor_does_anybody_where_nobody_is_asked(self, server: Server, client: httpx.Client) -> None:
        session = f"{server.url}/v1/session"
        answer = client.put(session, headers=bearer("anything"))
        assert (answer.status_code, "set-cookie" in answer.headers) == (204, False)
        for headers in ({}, kept("anything"), {"Cookie": f"{NAME}=%%%"}):
            who = client.get(session, headers=headers)
            assert who.json() == {"identity": None, "kind": "anybody", "cookie": False}

    def test_a_session_makes_no_other(
        self, client: httpx.Client, known: Server, session: str, signed_in: dict[str, str]
    ) -> None:
        answer = client.put(session, headers=signed_in | {"Origin": known.url})
        assert (answer.status_code, "set-cookie" in answer.headers) == (204, False)

    @pytest.mark.parametrize("origin", [FRIEND, "https://evil.example", "null", "http://127.0.0.1:1"])
    def test_no_other_page_signs_a_browser_in(
        self, client: httpx.Client, session: str, callers: Callers, origin: str
    ) -> None:
        """Else it could have somebody upload to a place of its own."""
        answer = client.put(session, headers=bearer(callers.token["all"]) | {"Origin": origin})
        assert told(answer) == DENIED
        assert "set-cookie" not in answer.headers

    def test_nor_does_what_is_no_origin(
        self, client: httpx.Client, known: Server, session: str, callers: Callers
    ) -> None:
        scheme, _, host = known.url.partition("://")
        for form in ("{}://{}/", "{}://{}/ui", "{}://{}?a", "{}://{}#a", "{}://x@{}", "{}://x:y@{}"):
            origin = form.format(scheme, host)
            answer = client.put(session, headers=bearer(callers.token["all"]) | {"Origin": origin})
            assert told(answer) == DENIED, origin

    def test_a_browser_asks_for_a_basic_credential_at_the_login(
        self, client: httpx.Client, known: Server, callers: Callers
    ) -> None:
        login = f"{known.url}/v1/login"
        for headers in PEOPLE:
            challenges = client.get(login, headers=headers).headers.get_list("www-authenticate")
            assert [challenge.split()[0] for challenge in challenges] == ["Basic", "Bearer"], headers
        answer = client.get(login, headers=basic(callers.token["all"]))
        assert (answer.status_code, answer.headers["location"]) == (303, "../ui")
        assert "set-cookie" not in answer.headers
        assert str(answer.next_request and answer.next_request.url) == f"{known.url}/ui"

    @pytest.mark.parametrize("page", PAGES, ids=str)
    def test_but_not_where_a_page_has_it_ask(
        self, client: httpx.Client, known: Server, session: str, artifact: str, page: dict[str, str]
    ) -> None:
        for url in (session, artifact, f"{known.url}/v1/login"):
            refused = client.get(url, headers=page)
            assert told(refused) == UNKNOWN
            assert refused.headers.get_list("www-authenticate") == ['Bearer realm="artifact-proxy"']


class TestSigningOut:
    def test_the_browser_forgets_the_credential(
        self, known: Server, session: str, artifact: str, callers: Callers
    ) -> None:
        with httpx.Client(headers={"Origin": known.url}) as browser:
            set_by = browser.put(session, headers=bearer(callers.token["all"]))
            assert browser.get(artifact).is_success
            answer = browser.delete(session)
            assert (answer.status_code, answer.headers["cache-control"]) == (204, "no-store")
            assert attributes(answer) == ["Max-Age=0", *attributes(set_by)]
            assert not browser.cookies
            assert told(browser.get(artifact)) == UNKNOWN

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    def test_a_credential_that_does_not_hold_any_more_is_forgotten(
        self, client: httpx.Client, known: Server, session: str, callers: Callers, method: str
    ) -> None:
        own = {"Origin": known.url}
        for name in ("expired", "unknown"):
            stale = kept(callers.token[name])
            answer = client.request(method, session, headers=stale | own)
            assert told(answer) == UNKNOWN
            assert answer.headers["set-cookie"].startswith(f"{NAME}=; Max-Age=0; HttpOnly")
            assert answer.headers["cache-control"].startswith("private")
            # A browser would look for the cookie beside the artifact.
            assert (
                "set-cookie"
                not in client.request(method, f"{known.native}/d/none", headers=stale | own).headers
            )
            assert (
                "set-cookie"
                not in client.request(method, session, headers=bearer(callers.token[name])).headers
            )

    def test_of_several_none_is(self, client: httpx.Client, session: str, callers: Callers) -> None:
        """Without the server's own, the browser would be whom the other one names."""
        cookie = kept(callers.token["all"])["Cookie"]
        answer = client.get(session, headers={"Cookie": f"{cookie}; {cookie}"})
        assert told(answer) == UNKNOWN
        assert "Clear the cookies of this site" in answer.json()["message"]
        assert "set-cookie" not in answer.headers


class TestWithoutThePage:
    def test_there_is_no_session_and_no_page(
        self, closed: Server, client: httpx.Client, callers: Callers
    ) -> None:
        for path in ("/", "/ui", "/ui/", "/ui/static/favicon.svg", "/v1/session", "/v1/login"):
            assert told(client.get(closed.url + path)) == UNKNOWN, path
            answer = client.get(closed.url + path, headers=bearer(callers.token["all"]))
            assert told(answer) == (404, "ENDPOINT_NOT_FOUND"), path
        put = client.put(f"{closed.url}/v1/session", headers=bearer(callers.token["all"]))
        assert (put.status_code, "set-cookie" in put.headers) == (404, False)

    def test_the_cookie_counts_for_nothing(
        self, closed: Server, client: httpx.Client, signed_in: dict[str, str], callers: Callers
    ) -> None:
        assert told(client.get(f"{closed.native}/", headers=signed_in)) == UNKNOWN
        put = client.put(f"{closed.native}/a", headers=signed_in | {"Origin": closed.url}, content=b"x")
        assert told(put) == UNKNOWN
        document = client.get(f"{closed.url}/openapi.json", headers=bearer(callers.token["all"])).json()
        assert sorted(document["components"]["securitySchemes"]) == ["basic", "bearer"]
