"""Access files and the credentials that they know."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from app.identity.tokens import digest_of, new_token


def access_file(directory: Path, *stanzas: str, name: str = "access.toml") -> Path:
    """Writes a file of these stanzas, and replaces the one that is there, which may just be read, at once."""
    file = directory / name
    directory.mkdir(parents=True, exist_ok=True)
    written = directory / f"{name}.new"
    written.write_text("\n".join(stanzas), "utf-8")
    return written.replace(file)


def token_stanza(
    name: str, *allow: str, deny: Sequence[str] = (), expires: datetime | None = None
) -> tuple[str, str]:
    """A new token, and what makes it known."""
    token = new_token()
    return token, token_text(name, digest_of(token), *allow, deny=deny, expires=expires)


def token_text(
    name: str, sha256: str, *allow: str, deny: Sequence[str] = (), expires: datetime | None = None
) -> str:
    until = f"expires = {expires.isoformat()}\n" if expires else ""
    return f"[[tokens]]\n{_settings(name=name, sha256=sha256, allow=allow, deny=deny)}{until}"


def everybody_stanza(*allow: str, deny: Sequence[str] = ()) -> str:
    return f"[everybody]\n{_settings(allow=allow, deny=deny)}"


def rule(*allow: str, deny: Sequence[str] = (), when: Mapping[str, str] | None = None) -> dict[str, Any]:
    """One for the stanzas of issuers and proxies."""
    return {"when": dict(when or {}), "allow": allow, "deny": deny}


def issuer_stanza(
    name: str, issuer: str, audience: str | Sequence[str], *rules: Mapping[str, Any], **settings: Any
) -> str:
    """`settings` are such as jwks_url, key_file, algorithms and name_claim."""
    head = _settings(name=name, issuer=issuer, audience=audience, **settings)
    return f"[[issuers]]\n{head}" + "".join(f"[[issuers.rules]]\n{_settings(**each)}" for each in rules)


def proxy_header_stanza(allowed_ips: Sequence[str], *rules: Mapping[str, Any], **settings: Any) -> str:
    """`settings` are header and groups_header."""
    head = _settings(allowed_ips=allowed_ips, **settings)
    return f"[proxy_header]\n{head}" + "".join(
        f"[[proxy_header.rules]]\n{_settings(**each)}" for each in rules
    )


def bearer(token: str) -> dict[str, str]:
    """The header with which a client shows its token."""
    return {"Authorization": f"Bearer {token}"}


def basic(token: str, user: str = "anybody") -> dict[str, str]:
    """The header of a client that knows only users and passwords."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()}


def _settings(**values: Any) -> str:
    return "".join(f"{name} = {_toml(value)}\n" for name, value in values.items())


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(name)} = {_toml(each)}" for name, each in value.items()) + " }"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # the strings of JSON are also those of TOML
    return "[" + ", ".join(map(_toml, value)) + "]"
