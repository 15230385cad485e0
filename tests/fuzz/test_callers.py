"""Of whatever callers say of themselves: it is believed for what it is, or refused as is foreseen."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from hypothesis import example, given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from app.api.authentication import secret_of
from app.api.hosts import Hosts
from app.api.visit import begin
from app.errors import ArtifactError, Unauthenticated
from app.identity.permissions import Action, Grant
from tests.fuzz.reading import headers, latin, only, pieces

credentials = pieces(
    "Bearer", "Basic", "bearer ", "basic ", " ", "YTpi", "Og==", "=", ":", "apx_", "AAA=", "ÿ"
)


@given(st.lists(credentials, max_size=2))
@example(["Basic YTpi"])
@example(["Basic Og=="])
@example(["Basic YTo="])
@example(["Basic /w=="])
@example(["Basic é"])
def test_a_credential_is_text_or_nothing_or_unauthenticated(values: list[str]) -> None:
    secret = only(Unauthenticated, lambda: secret_of(headers("Authorization", values)))
    assert secret is None or (secret and values)


hosts = pieces(
    "h",
    "localhost",
    "127.0.0.1",
    "[::1]",
    "[",
    "]",
    ":",
    "80",
    "65536",
    "@",
    ".",
    "/",
    "%",
    "٣",
    "evil",
    size=5,
)
origins = pieces(
    "http://", "https://", "null", "h", ":80", ":", "[::1]", "//", "@", "?", "evil", "file:", size=5
)
queries = pieces("token", "access_token", "%74oken", "api_key", "path", "=", "&", "%", "a")


@given(
    st.one_of(st.sampled_from(["h", "H.", "h:80"]), hosts),
    st.lists(st.one_of(origins, origins.map("http://h".__add__)), max_size=2),
    st.one_of(queries, latin),
)
@example("[v1.x]", ["http://[v1.x]"], "")
@example("h:²", [], "")
@example("evil@h", [], "")
@example("h", ["http://h:²"], "")
@example("h", ["http://evil"], "")
@example("h", ["http://h", "http://evil"], "")
@example("h", [], "%74oken=1")
def test_hosts_and_origins_are_accepted_or_refused(host: str, given_origins: list[str], query: str) -> None:
    raw = [(b"host", host.encode("latin-1", "replace"))]
    raw += [(b"origin", origin.encode("latin-1")) for origin in given_origins]
    scope = {
        "type": "http",
        "method": "PUT",
        "raw_path": b"/v1/artifacts/a",
        "headers": raw,
        "query_string": query.encode("latin-1"),
    }

    async def nothing(*_: object) -> None: ...

    begin(scope, None)
    layer = Hosts(nothing, ["h"], lambda: True, [])
    passed = not isinstance(_raised(lambda: layer._judge(scope, Headers(scope=scope))), ArtifactError)
    if passed:
        assert re.fullmatch(r"h\.*(:\d*)?", host, re.IGNORECASE | re.ASCII), host
        assert len(given_origins) <= 1
        assert all((urlsplit(origin).hostname or "").strip(".") == "h" for origin in given_origins)
        names = {unquote(part.partition("=")[0]) for part in query.split("&")}
        assert not names & {"token", "access_token", "api_key"}


def _raised(call: Callable[[], object]) -> ArtifactError | None:
    try:
        call()
    except ArtifactError as error:
        return error
    return None


places = pieces("/", "a", "b.c", "{name}", "{", "}", ".", "..", "%2e", "\\", "\0", " ", ":")
grants = st.one_of(
    pieces("read", "list", "all", ",", ":", "/", "a", "{name}", "..", "\0", " "), places.map("read:".__add__)
)


@given(grants)
@example("read,list:users/{name}/")
@example("read:a/../b")
def test_a_grant_is_of_safe_segments_or_a_value_error(text: str) -> None:
    grant = only(ValueError, lambda: Grant.parse(text))
    if grant is not None:
        assert grant.actions
        assert grant.actions <= set(Action)
        assert not {"", ".", ".."} & set(grant.prefix)


@given(grants, st.one_of(st.text(), pieces("/", ".", "..", "a", "{name}", size=3)))
@example("read:users/{name}/", "ci")
@example("read:users/{name}/", "../ci")
@example("read:users/{name}/", "")
def test_a_name_never_leads_a_grant_out_of_its_place(text: str, name: str) -> None:
    grant = only(ValueError, lambda: Grant.parse(text))
    for filled in grant.filled(lambda _: (name,)) if grant else ():
        assert grant is not None
        assert len(filled.prefix) == len(grant.prefix)
        for segment, written in zip(filled.prefix, grant.prefix, strict=True):
            assert segment
            assert "/" not in segment
            assert segment == written or "{name}" in written


@given(st.one_of(st.none(), latin, pieces("a", "-", "_", ".", "\n", "\r\n", "A9")))
def test_a_request_id_never_has_what_a_log_could_misread(given_id: str | None) -> None:
    request_id = begin({}, given_id).request_id
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", request_id)
    assert "\n" not in request_id
