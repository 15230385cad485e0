"""What the session cookie is good for, and what it is not."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.api.cookie import NAME
from tests.support.access import bearer
from tests.support.access_log import complete_log
from tests.support.bystander import unchanged
from tests.support.callers import Callers
from tests.support.cookies import encoded, kept
from tests.support.guarded import DENIED, UNKNOWN, audited, guarded, told
from tests.support.raw import exchange, head
from tests.support.server import Server

FRIEND = "https://app.example.com"


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Callers:
    return Callers(tmp_path_factory.mktemp("callers"))


@pytest.fixture(scope="module")
def audit_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit") / "audit.jsonl"


@pytest.fixture(scope="module")
def known(callers: Callers, audit_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that a friendly page may use, too, and whose files a reverse proxy may send."""
    flags = ("--cors-allowed-origins", FRIEND, "--accel-redirect", "/_files", "--audit-log", str(audit_log))
    with guarded(tmp_path_factory.mktemp("cookie"), *callers.stanzas, flags=flags) as server:
        (server.root / "d").mkdir()
        (server.root / "d" / "a").write_bytes(b"data")
        yield server


@pytest.fixture(scope="module")
def artifact(known: Server) -> str:
    return f"{known.native}/d/a"


@pytest.fixture(scope="module")
def signed_in(callers: Callers) -> dict[str, str]:
    """The header of a browser whose user may do everything."""
    return kept(callers.token["all"])


def test_cookies_of_others_do_not_matter(known: Server, callers: Callers) -> None:
    good = f"{NAME}={encoded(callers.token['all'])}"
    others = [
        "a",
        "=b",
        ";;",
        'c="; x',
        f"{NAME}x=1",
        f"x{NAME}=1",
        NAME,
        f"{NAME.upper()}=1",
        "\xff=\xfe",
    ]
    ways = [[f"Cookie: {other}; {good}; {other}"] for other in others]
    ways += [[f"cookie: {other}", f"cookie:{good}"] for other in others]
    ways += [[f"Cookie: a=b;{good};c=d"], [f"Cookie:\t{good} "]]
    for lines in ways:
        assert exchange(known.url, head("GET", "/v1/artifacts/d/a", *lines)).status == 200, lines


def test_one_that_is_not_the_servers_is_refused(
    client: httpx.Client, artifact: str, callers: Callers
) -> None:
    token = callers.token["all"]
    values = [
        *("", "=", "!", "%%%", token, f'"{encoded(token)}"', f"{encoded(token)}=", f"{encoded(token)} x"),
        *(
            "A",
            b64encode(b"\xfb\xff").decode(),
            encoded(b"\xff\xfe"),
            encoded("no such token"),
            "A" * 60_000,
        ),
        *(encoded(callers.token[name]) for name in ("expired", "unknown")),
    ]
    for value in values:
        refused = client.get(artifact, headers={"Cookie": f"{NAME}={value}"})
        assert told(refused) == UNKNOWN, value
        assert value not in refused.text or len(value) < 2


def test_so_are_several(known: Server, callers: Callers) -> None:
    """The site next door can set one for this server, too; which one that is cannot be told."""
    cookie = f"{NAME}={encoded(callers.token['all'])}"
    for lines in ([f"Cookie: {cookie}; {cookie}"], [f"Cookie: {cookie}", f"Cookie: {NAME}=x"]):
        assert exchange(known.url, head("GET", "/v1/artifacts/d/a", *lines)).status == 401


def test_other_credentials_go_before_it(
    client: httpx.Client,
    stranger: httpx.Client,
    artifact: str,
    callers: Callers,
    signed_in: dict[str, str],
) -> None:
    good, bad = callers.token["all"], callers.token["unknown"]
    assert client.get(artifact, headers=kept(bad) | bearer(good)).is_success
    for authorization in (f"Bearer {bad}", "Basic !!!", "Bearer"):
        headers = signed_in | {"Authorization": authorization}
        assert told(client.get(artifact, headers=headers)) == UNKNOWN, authorization
    for cookie in (kept(bad), {"Cookie": f"{NAME}=!"}):
        headers = cookie | {"X-Forwarded-User": "bob"}
        assert stranger.put(artifact, headers=headers, content=b"data").is_success


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH"])
def test_changes_take_the_origin_of_the_servers_own_page(
    client: httpx.Client, known: Server, artifact: str, signed_in: dict[str, str], method: str
) -> None:
    port = known.url.rpartition(":")[2]
    foreign = [
        "",
        "null",
        FRIEND,
        "https://evil.example",
        f"http://localhost:{port}",
        "http://127.0.0.1:1",
    ]
    headers = list(signed_in.items())
    with unchanged(known):
        for origins in ([], *([origin] for origin in foreign), [known.url, known.url]):
            given = [*headers, *(("Origin", origin) for origin in origins)]
            assert told(client.request(method, artifact, headers=given)) == DENIED, origins
    permitted = client.request(method, f"{artifact}-new", headers=[*headers, ("Origin", known.url)])
    assert permitted.is_success or told(permitted) == (405, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "Same-Origin", "same-origin, cross-site"])
def test_it_counts_for_nothing_where_another_page_has_it_sent(
    client: httpx.Client, known: Server, artifact: str, signed_in: dict[str, str], site: str
) -> None:
    headers = signed_in | {"Sec-Fetch-Site": site}
    with unchanged(known):
        assert told(client.get(artifact, headers=headers)) == UNKNOWN
        put = client.put(artifact, headers=headers | {"Origin": known.url}, content=b"new")
        assert told(put) == UNKNOWN


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_and_for_its_user_where_the_page_or_the_user_does(
    client: httpx.Client, artifact: str, signed_in: dict[str, str], site: str
) -> None:
    assert client.get(artifact, headers=signed_in | {"Sec-Fetch-Site": site}).content == b"data"


def test_pages_that_may_use_the_server_cannot_use_it(
    client: httpx.Client, artifact: str, signed_in: dict[str, str]
) -> None:
    asked = {"Origin": FRIEND, "Access-Control-Request-Method": "PUT"}
    for answer in (
        client.get(artifact, headers=signed_in | {"Origin": FRIEND}),
        client.options(artifact, headers=asked),
    ):
        assert answer.headers["access-control-allow-origin"] == FRIEND
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.request.method == "OPTIONS" or told(answer) == UNKNOWN


def test_no_shared_cache_keeps_an_answer_to_it(
    client: httpx.Client, known: Server, callers: Callers, signed_in: dict[str, str]
) -> None:
    targets = {"d/a": "no-cache", "d/": None, "none": None}
    for target, policy in targets.items():
        url = f"{known.native}/{target}"
        shown = client.get(url, headers=bearer(callers.token["all"]))
        assert shown.headers.get("cache-control") == policy
        answer = client.get(url, headers=signed_in)
        assert answer.headers.get_list("cache-control") == ["private, no-cache"]
        assert (answer.status_code, answer.headers.get("etag")) == (
            shown.status_code,
            shown.headers.get("etag"),
        )
    again = client.get(
        f"{known.native}/d/a", headers=signed_in | {"If-None-Match": "*", "Sec-Fetch-Site": "none"}
    )
    assert (again.status_code, again.headers["cache-control"]) == (304, "private, no-cache")
    session = client.get(f"{known.url}/v1/session", headers=signed_in)
    assert session.headers.get_list("cache-control") == ["no-store"]


def test_nor_one_that_the_reverse_proxy_sends(
    client: httpx.Client, artifact: str, signed_in: dict[str, str]
) -> None:
    answer = client.get(artifact, headers=signed_in | {"X-Forwarded-For": "192.0.2.1"})
    assert answer.headers["x-accel-redirect"] == "/_files/d/a"
    assert answer.headers["cache-control"] == "private, no-cache"


def test_what_is_written_down_has_its_user_and_never_the_cookie(
    client: httpx.Client, known: Server, artifact: str, callers: Callers, audit_log: Path
) -> None:
    token = callers.token["all"]
    said = [
        client.get(artifact, headers=kept(token) | {"X-Request-Id": "by-cookie"}).headers,
        client.delete(artifact, headers=kept(token)).text,
        client.get(f"{known.native}/none", headers=kept(token)).text,
        client.get(artifact, headers=kept(callers.token["unknown"])).text,
    ]
    log = complete_log(known)
    (line,) = [line for line in audited(audit_log) if line["request_id"] == "by-cookie"]
    assert line["who"] == {"kind": "token", "name": "everything"}
    for secret in (token, callers.token["unknown"]):
        for text in (log, audit_log.read_text(), str(said)):
            assert secret not in text
            assert encoded(secret) not in text
