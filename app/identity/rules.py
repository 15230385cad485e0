"""From what is claimed of a caller to what the caller may do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.identity.permissions import NAME, Grant, Permissions

_LISTS_IN_TEXT = {"scope", "scp"}
"""RFC 8693, section 4.2: scopes in one string, separated by spaces."""


class Claims:
    """What an issuer says of a caller, by name; a name with dots looks inside objects."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __call__(self, name: str) -> tuple[str, ...]:
        """The claim's values as text; none if it is absent, or neither text nor a list of texts."""
        value = self._find(name)
        if isinstance(value, str):
            return tuple(value.split()) if name in _LISTS_IN_TEXT else (value,)
        if isinstance(value, list):
            return tuple(part for part in value if isinstance(part, str))
        return ()

    def _find(self, name: str) -> Any:
        if name in self._values:  # some issuers have names with dots
            return self._values[name]
        value: Any = self._values
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value


@dataclass(frozen=True, slots=True)
class Rule:
    """Grants for the callers of whom all of `when` is claimed."""

    when: Mapping[str, str]
    allow: tuple[Grant, ...]
    deny: tuple[Grant, ...]

    def applies(self, claims: Claims) -> bool:
        return all(value in claims(name) for name, value in self.when.items())


def permissions_for(rules: Sequence[Rule], name: str, claims: Claims) -> Permissions:
    """What the rules that apply to the caller called `name` give together."""
    applying = [rule for rule in rules if rule.applies(claims)]
    return Permissions.filled(
        tuple(grant for rule in applying for grant in rule.allow),
        tuple(grant for rule in applying for grant in rule.deny),
        lambda placeholder: (name,) if placeholder == NAME else claims(placeholder),
    )
