"""The access file: who is known, how, and what they may do. TOML; docs/security.md explains it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Self

import jwt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from app.identity.authenticator import Authenticator
from app.identity.base import ANYBODY
from app.identity.fields import GrantText, HeaderName, IssuerUrl, Network, TokenName, https_url
from app.identity.issuers import ALGORITHMS, Issuer, Issuers
from app.identity.keys import FetchedKeys, FixedKeys, Keys, fetch_json
from app.identity.permissions import NAME
from app.identity.proxy_header import KIND as PROXY
from app.identity.proxy_header import ProxyHeader
from app.identity.rules import Rule
from app.identity.tokens import KIND as TOKEN
from app.identity.tokens import StaticToken, StaticTokens

_REASONS = {
    "extra_forbidden": "it is not known here; look for a typing error",
    "missing": "it must be given",
    "tuple_type": "it must be a list, in square brackets",
    "too_short": "it must not be empty",
    "string_type": "it must be a text, in quotes",
    "string_pattern_mismatch": "it is no SHA-256 in 64 small hexadecimal digits",
    "datetime_type": "it is no time such as 2027-01-01T00:00:00Z",
    "datetime_parsing": "it is no time such as 2027-01-01T00:00:00Z",
    "datetime_from_date_parsing": "it is no time such as 2027-01-01T00:00:00Z",
    "model_type": "it must be a table",
}
"""For what the library says in words of its own."""


class InvalidAccessFile(ValueError):
    """What is wrong with the file, and where in it."""


def load(file: Path, fetched: dict[str, FetchedKeys] | None = None) -> Authenticator:
    """The identities that the file describes. Raises `InvalidAccessFile`.

    `fetched` are the keys of issuers that are known from an earlier reading, by where they come from.
    """
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise InvalidAccessFile(f"it cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InvalidAccessFile("it is not in UTF-8") from None
    except ValueError as error:  # a NUL in its name
        raise InvalidAccessFile(f"it cannot be read ({error})") from None
    return parse(text, file.parent, fetched)


def parse(text: str, directory: Path, fetched: dict[str, FetchedKeys] | None = None) -> Authenticator:
    """Those that `text` describes, with key files relative to `directory`. Raises `InvalidAccessFile`."""
    try:
        values = tomllib.loads(text)
    except ValueError as error:
        raise InvalidAccessFile(f"it is not TOML: {error}") from None
    except RecursionError:
        raise InvalidAccessFile("it is nested too deep") from None
    try:
        described = _AccessFile.model_validate(values)
        return described.authenticator(directory, {} if fetched is None else fetched)
    except ValidationError as error:
        raise InvalidAccessFile(_explain(error)) from None


def stanza(
    name: str, digest: str, allow: Sequence[str], deny: Sequence[str], expires: datetime | None
) -> str:
    """A static token as it stands in the file."""
    lines = ["[[tokens]]", f'name = "{name}"', f'sha256 = "{digest}"']
    if expires is not None:
        lines.append(f"expires = {expires:%Y-%m-%dT%H:%M:%SZ}")
    # A JSON string is a TOML string too, for texts without a DEL, which no path has.
    for effect, grants in (("allow", allow), ("deny", deny)):
        if grants:
            lines.append(f"{effect} = {json.dumps(list(grants), ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def _explain(error: ValidationError) -> str:
    """Where it is wrong and why; never the value, which may be a secret in the wrong place."""
    first = error.errors(include_input=False)[0]
    # List members are counted from 1, as people do.
    where = ".".join(str(part + 1) if isinstance(part, int) else part for part in first["loc"])
    reason = _REASONS.get(first["type"], first["msg"].removeprefix("Value error, "))
    return f"{where}: {reason}" if where else reason


class _Table(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )


class _Grants(_Table):
    allow: tuple[GrantText, ...] = ()
    deny: tuple[GrantText, ...] = ()

    def require_placeholders(self, known: set[str]) -> None:
        for grant in (*self.allow, *self.deny):
            for name in sorted(grant.placeholders - known):
                raise ValueError(f"the placeholder {{{name}}} is not known here; known is {{{NAME}}}")


class _Token(_Grants):
    name: TokenName
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    expires: datetime | None = None

    @model_validator(mode="after")
    def _known_placeholders(self) -> Self:
        self.require_placeholders({NAME})
        return self

    def made(self, everybody: _Grants) -> StaticToken:
        # A time without a zone is in UTC, as the tokens' own.
        expires = (
            self.expires if self.expires is None or self.expires.tzinfo else self.expires.replace(tzinfo=UTC)
        )
        return StaticToken(
            self.name, self.sha256, expires, self.allow + everybody.allow, self.deny + everybody.deny
        )


class _Rule(_Grants):
    when: Mapping[str, str] = {}

    def made(self) -> Rule:
        return Rule(self.when, self.allow, self.deny)


class _Issuer(_Table):
    name: TokenName
    issuer: IssuerUrl
    audience: str | tuple[str, ...]
    algorithms: tuple[str, ...] = ("RS256",)
    jwks_url: IssuerUrl | None = None
    key_file: str | None = None
    name_claim: str = "sub"
    rules: tuple[_Rule, ...] = ()

    @property
    def audiences(self) -> tuple[str, ...]:
        return (self.audience,) if isinstance(self.audience, str) else self.audience

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for algorithm in self.algorithms:
            if algorithm not in ALGORITHMS:
                raise ValueError(
                    f"the algorithm {algorithm!r} is not accepted; choose of {', '.join(ALGORITHMS)}"
                )
        if not self.algorithms or not self.audiences or "" in self.audiences:
            raise ValueError("it needs an audience and an algorithm, or tokens for others would be accepted")
        if self.name in {TOKEN, PROXY, ANYBODY.kind}:
            raise ValueError(f"the name {self.name!r} is taken for another kind of identity")
        if self.jwks_url is not None and self.key_file is not None:
            raise ValueError(
                "it has a jwks_url and a key_file; give one of them, or neither to ask the issuer"
            )
        return self

    def made(self, everybody: _Grants, directory: Path, fetched: dict[str, FetchedKeys]) -> Issuer:
        return Issuer(
            self.name,
            self.issuer,
            self.audiences,
            self.algorithms,
            self.name_claim,
            self._keys(directory, fetched),
            _rules(self.rules, everybody),
        )

    def _keys(self, directory: Path, fetched: dict[str, FetchedKeys]) -> Keys:
        if self.key_file is not None:
            try:
                return FixedKeys(directory / self.key_file)
            except OSError as error:
                raise InvalidAccessFile(
                    f"the key file {self.key_file!r} cannot be read ({error.strerror})"
                ) from None
            except (ValueError, RecursionError) as error:
                raise InvalidAccessFile(f"the key file {self.key_file!r} cannot be used: {error}") from None
        if self.jwks_url is not None:
            url = self.jwks_url
            return fetched.setdefault(url, FetchedKeys(lambda: url))
        return fetched.setdefault(f"issuer {self.issuer}", FetchedKeys(partial(_discovered, self.issuer)))


def _discovered(issuer: str) -> str:
    """Where the issuer says that its keys are (OpenID Connect Discovery, section 4)."""
    document = fetch_json(issuer.rstrip("/") + "/.well-known/openid-configuration")
    url = document.get("jwks_uri")
    if document.get("issuer") != issuer or not isinstance(url, str):
        raise jwt.PyJWKClientError(f"what {issuer} says of itself is of another issuer, or has no jwks_uri")
    return https_url(url)


class _ProxyHeader(_Table):
    header: HeaderName = "x-forwarded-user"
    groups_header: HeaderName | None = None
    allowed_ips: Annotated[tuple[Network, ...], Field(min_length=1)]
    rules: tuple[_Rule, ...] = ()

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for rule in self.rules:
            rule.require_placeholders({NAME, "groups"})
            for claim in rule.when:
                if claim != "groups":
                    raise ValueError(f"a proxy says nothing of {claim!r}; `when` can ask for groups")
        if self.header in {"authorization", "host", "cookie", self.groups_header}:
            raise ValueError(f"the header {self.header!r} cannot be the one that names the user")
        return self

    def made(self, everybody: _Grants) -> ProxyHeader:
        rules = _rules(self.rules, everybody)
        return ProxyHeader(self.header, self.groups_header, self.allowed_ips, rules)


class _AccessFile(_Table):
    everybody: _Grants = _Grants()
    tokens: tuple[_Token, ...] = ()
    issuers: tuple[_Issuer, ...] = ()
    proxy_header: _ProxyHeader | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not (self.tokens or self.issuers or self.proxy_header):
            raise ValueError(
                "it knows nobody, so nobody could do anything; begin with `artifact-proxy token new NAME "
                "--allow all: --access-file FILE`"
            )
        self.everybody.require_placeholders({NAME})
        _require_unique("the name of a token", (token.name for token in self.tokens))
        _require_unique("the hash of a token", (token.sha256 for token in self.tokens))
        _require_unique("the name of an issuer", (issuer.name for issuer in self.issuers))
        _require_unique("an issuer", (issuer.issuer for issuer in self.issuers))
        return self

    def authenticator(self, directory: Path, fetched: dict[str, FetchedKeys]) -> Authenticator:
        return Authenticator(
            StaticTokens([token.made(self.everybody) for token in self.tokens]),
            Issuers([issuer.made(self.everybody, directory, fetched) for issuer in self.issuers]),
            None if self.proxy_header is None else self.proxy_header.made(self.everybody),
        )


def _rules(rules: Iterable[_Rule], everybody: _Grants) -> tuple[Rule, ...]:
    return (Rule({}, everybody.allow, everybody.deny), *(rule.made() for rule in rules))


def _require_unique(what: str, values: Iterable[Any]) -> None:
    seen = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} is there twice: {value}")
        seen.add(value)
