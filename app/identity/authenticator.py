"""All ways to be known, at once."""

from __future__ import annotations

from app.errors import Unauthenticated
from app.identity.base import Credentials, Identity
from app.identity.issuers import Issuers
from app.identity.proxy_header import ProxyHeader
from app.identity.tokens import StaticTokens

MAX_SECRET_CHARACTERS = 16 * 1024


class Authenticator:
    def __init__(self, tokens: StaticTokens, issuers: Issuers, proxy: ProxyHeader | None) -> None:
        self._tokens = tokens
        self._issuers = issuers
        self._proxy = proxy
        self.headers = frozenset(
            name for name in ((proxy.header, proxy.groups_header) if proxy else ()) if name is not None
        )
        """The headers, in lower case, that `Credentials` must have besides the secret."""

    async def identify(self, credentials: Credentials) -> Identity:
        """Who is asking. Raises `Unauthenticated`, and `IdentityUnavailable` if an issuer cannot be asked.

        Whom a trusted proxy names is who it is: what else the request carries was for the proxy.
        """
        if self._proxy is not None:
            named = self._proxy.identify(credentials)
            if named is not None:
                return named
        if credentials.fault is not None:
            raise credentials.fault
        secret = credentials.secret
        if secret is None:
            raise Unauthenticated(
                "This needs a credential: a token as Bearer, or as the password of Basic; MLflow's clients "
                "take it from MLFLOW_TRACKING_TOKEN."
            )
        if len(secret) > MAX_SECRET_CHARACTERS:
            raise Unauthenticated(f"The credential is longer than {MAX_SECRET_CHARACTERS} characters.")
        found = self._tokens.identify(secret) or await self._issuers.identify(secret)
        if found is None:
            raise Unauthenticated("The credential is not known here; it may have been revoked.")
        return found
