"""The request target as it was sent: raw paths for the router, strict query parameters."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from app.api.target import RawTarget, query_parameter
from app.errors import InvalidPath, InvalidRequest


def asked(query: str) -> Request:
    """A request with a query as its bytes were on the wire."""
    return Request({"type": "http", "method": "GET", "headers": [], "query_string": query.encode("latin-1")})


def parameter(query: str, name: str = "path") -> str | None:
    return query_parameter(asked(query), name)


class TestQueryParameter:
    @pytest.mark.parametrize(
        "query", ["", "&", "&&", "other=1", "xpath=1", "pathx=1", "=path", "PATH=1", "pa+th=1"]
    )
    def test_what_is_absent_is_none(self, query: str) -> None:
        assert parameter(query) is None

    @pytest.mark.parametrize(
        ("query", "value"),
        [
            *(("path=", ""), ("path", ""), ("path&x=1", ""), ("path=a", "a"), ("path=a/b", "a/b")),
            *(("x=1&path=a&y=2", "a"), ("&path=a&", "a"), ("path=a=b==", "a=b=="), ("path==", "=")),
            *(("path=a;b", "a;b"), ("path=a;path=b", "a;path=b"), ("path=a?b", "a?b"), ("path=a,b", "a,b")),
        ],
    )
    def test_a_value_is_what_stands_behind_the_first_equals_sign(self, query: str, value: str) -> None:
        assert parameter(query) == value

    @pytest.mark.parametrize(
        ("query", "value"),
        [
            *(("path=a+b", "a b"), ("path=a%20b", "a b"), ("path=a%2Bb", "a+b"), ("path=++", "  ")),
            *(("path=a%26b%3dc", "a&b=c"), ("path=%2Fa", "/a"), ("path=a%2520b", "a%20b"), ("path=%25", "%")),
            *(
                ("path=%252B+%2B", "%2B +"),
                ("path=%c3%a9", "é"),
                ("path=%F0%9F%98%80", "😀"),
                ("path=%00", "\0"),
            ),
            *(("path=e%CC%81", "e\u0301"), ("path=%E2%80%AE", "\u202e"), ("path=%25C3%25A9", "%C3%A9")),
        ],
    )
    def test_a_value_is_decoded_exactly_once(self, query: str, value: str) -> None:
        assert parameter(query) == value

    def test_a_name_may_be_encoded_like_any_part_of_a_url(self) -> None:
        assert parameter("%70ath=a") == "a"
        assert parameter("max%5Fresults=5", "max_results") == "5"

    @pytest.mark.parametrize(
        "query", ["path=a&path=b", "path=a&path=a", "path&path", "path=&x=1&path=a", "path=a&%70ath=b"]
    )
    def test_a_repeated_parameter_is_refused(self, query: str) -> None:
        with pytest.raises(InvalidRequest, match=r"'path'.* 2 times"):
            parameter(query)

    def test_an_unknown_parameter_may_be_anything(self) -> None:
        assert parameter("x=%zz&x=%ff&path=a&\xff=%&y") == "a"

    @pytest.mark.parametrize(
        "value",
        [
            *("%", "%2", "%zz", "a%", "%%41", "% 1", "%+1", "%u0041"),
            *("%ff", "%c3", "%c0%ae", "%ed%a0%80", "%e2%82", "%f4%90%80%80", "\xe9", "\xc3\xa9", "a\xff"),
        ],
        ids=ascii,
    )
    def test_what_is_not_strict_percent_encoded_utf8_is_refused(self, value: str) -> None:
        with pytest.raises(InvalidPath):
            parameter(f"path={value}")

    @given(st.text(), st.text(st.sampled_from("&=+%;ab\xe9")))
    def test_any_value_survives_being_encoded(self, value: str, other: str) -> None:
        for spaces_as in ("%20", "+"):
            encoded = quote(value, safe="").replace("%20", spaces_as)
            assert parameter(f"x={quote(other, safe='')}&path={encoded}") == value

    @given(st.text(st.characters(max_codepoint=0xFF)) | st.text(st.sampled_from("path=&+%25zc3a9;\xff")))
    def test_any_query_is_understood_or_refused(self, query: str) -> None:
        try:
            parameter(query)
        except InvalidRequest:
            return


def routed(raw_path: bytes, static_prefix: str = "", shown_at: str = "", **scope: object) -> Scope:
    """The scope that the router sees."""
    seen: list[Scope] = []

    async def router(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def receive() -> dict[str, object]:
        raise AssertionError("the target is judged without the body")

    async def send(message: object) -> None:
        raise AssertionError("nothing is answered here")

    sent: Scope = {"type": "http", "path": "/lenient", "raw_path": raw_path, "root_path": "", **scope}
    before = dict(sent)
    asyncio.run(RawTarget(router, static_prefix, shown_at)(sent, receive, send))
    assert sent == before
    return seen[0]


class TestRawTarget:
    @pytest.mark.parametrize(
        "raw", [b"/a", b"/a%2Fb", b"/a%2f..%2Fb", b"/%zz", b"//a", b"/a;b", b"/%c0%ae", b"/a+b"]
    )
    def test_routes_match_the_path_undecoded(self, raw: bytes) -> None:
        assert routed(raw)["path"] == raw.decode()

    def test_bytes_beyond_ascii_are_kept_apart(self) -> None:
        assert routed(b"/\xc3\xa9")["path"] == "/\xc3\xa9"
        assert routed(b"/\xe9")["path"] == "/\xe9"

    @pytest.mark.parametrize(
        ("path", "root_path"),
        [
            *(("/mlflow/health", "/mlflow"), ("/mlflow/", "/mlflow"), ("/mlflow/a%2Fb", "/mlflow")),
            *(("/health", ""), ("/mlflow", ""), ("/mlflowx/health", ""), ("/x/mlflow/health", "")),
            *(
                ("/ml%66low/health", ""),
                ("/mlflow%2Fhealth", ""),
                ("/MLFLOW/health", ""),
                ("//mlflow/health", ""),
            ),
        ],
    )
    def test_routes_are_also_below_the_static_prefix(self, path: str, root_path: str) -> None:
        scope = routed(path.encode(), "/mlflow")
        assert (scope["path"], scope["root_path"]) == (path, root_path)

    def test_without_a_static_prefix_there_is_no_other_root(self) -> None:
        assert routed(b"//health")["root_path"] == ""
        assert routed(b"/mlflow/health", root_path="/from-the-server")["root_path"] == ""

    @pytest.mark.parametrize(
        ("raw", "static_prefix", "root_path"),
        [
            *((b"/a%2Fb", "", "/shown"), (b"/", "", "/shown"), (b"//a", "", "/shown"), (b"*", "", "/shown")),
            *((b"/shown", "", "/shown"), (b"/shown/shown/a", "", "/shown"), (b"/showna", "", "/shown")),
            *((b"/mlflow/a%2fb", "/mlflow", "/shown/mlflow"), (b"/mlflow", "/mlflow", "/shown")),
            *((b"/shown/mlflow/a", "/mlflow", "/shown"), (b"/mlflow/mlflow/a", "/mlflow", "/shown/mlflow")),
            (b"/shown/a", "/shown", "/shown/shown"),
        ],
    )
    def test_the_root_path_comes_before_every_path_and_before_the_static_prefix(
        self, raw: bytes, static_prefix: str, root_path: str
    ) -> None:
        """The proxy has taken it off, so that it is never looked for in what was sent."""
        scope = routed(raw, static_prefix, "/shown")
        assert (scope["path"], scope["root_path"]) == ("/shown" + raw.decode(), root_path)

    def test_what_is_no_request_passes_untouched(self) -> None:
        scope = routed(b"/x", "/mlflow", type="lifespan")
        assert (scope["type"], scope["path"]) == ("lifespan", "/lenient")
