"""Of whatever operators may write into an access file: it is one, or it is said to be none."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from app.identity.access_file import InvalidAccessFile, parse
from app.identity.authenticator import Authenticator
from tests.support.access import everybody_stanza, issuer_stanza, proxy_header_stanza, rule, token_text

keys = st.sampled_from(
    [
        *("tokens", "issuers", "proxy_header", "everybody", "name", "sha256", "expires", "allow", "deny"),
        *(
            "issuer",
            "audience",
            "algorithms",
            "jwks_url",
            "key_file",
            "rules",
            "when",
            "header",
            "allowed_ips",
        ),
        "groups_header",
    ]
)
words = st.sampled_from(
    [
        *(
            "ci",
            "a" * 64,
            "all:",
            "read:a/{name}/",
            "https://h",
            "http://[",
            "//[",
            "RS256",
            "none",
            "10.0.0.5",
        ),
        *("/", "..", ".", "missing.pem", "\0", "x" * 300, "X-User", ""),
    ]
)
values = st.recursive(
    st.one_of(words, st.text(max_size=5), st.integers(), st.booleans(), st.floats()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=5)),
    max_leaves=12,
)
full_tables = st.fixed_dictionaries(
    {},
    optional={
        "tokens": st.lists(
            st.fixed_dictionaries(
                {"name": words, "sha256": words}, optional={"allow": st.lists(words, max_size=2)}
            ),
            max_size=2,
        ),
        "issuers": st.lists(
            st.fixed_dictionaries(
                {"name": words, "issuer": words, "audience": words},
                optional={"jwks_url": words, "key_file": words, "algorithms": st.lists(words, max_size=2)},
            ),
            max_size=2,
        ),
        "proxy_header": st.fixed_dictionaries({"allowed_ips": st.lists(words, max_size=2)}),
    },
)
WHOLE = "\n".join(
    [
        token_text("ci", "a" * 64, "read,list:", "all:users/{name}/", deny=["delete:releases/"]),
        issuer_stanza(
            "corp", "https://h", "x", rule("all:{team}/", when={"groups": "a"}), algorithms=["ES256"]
        ),
        proxy_header_stanza(["10.0.0.5", "::1"], rule("all:", when={"groups": "a"}), header="X-User"),
        everybody_stanza("list:", deny=["write:releases/"]),
    ]
)
tables = st.one_of(full_tables, st.dictionaries(keys, values, max_size=4))


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value).replace("\x7f", "\\u007f")


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A whole file, with pieces cut out and put in."""
    text = WHOLE
    for _ in range(draw(st.integers(1, 2))):
        start = draw(st.integers(0, len(text)))
        piece = draw(st.one_of(words, st.text(max_size=3)))
        text = text[:start] + piece + text[start + draw(st.integers(0, 8)) :]
    return text


def test_the_file_that_is_damaged_is_one_at_first() -> None:
    assert isinstance(parse(WHOLE, Path("/nonexistent")), Authenticator)


@given(
    st.one_of(
        st.text(),
        damaged(),
        tables.map(lambda table: "\n".join(f"{k} = {toml(v)}" for k, v in table.items())),
    )
)
@example("a = " + "[" * 5000)
@example('[[issuers]]\nname = "a"\nissuer = "https://["\naudience = "x"')
@example('[[issuers]]\nname = "a"\nissuer = "https://h"\naudience = "x"\nkey_file = "\\u0000"')
@example("a = " + "9" * 5000)
def test_an_access_file_is_one_or_invalid(text: str) -> None:
    try:
        read = parse(text, Path("/nonexistent"))
    except InvalidAccessFile:
        return
    assert isinstance(read, Authenticator)
