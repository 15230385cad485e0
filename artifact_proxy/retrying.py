"""When to ask again what has failed, and for how long."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import TypeVar

from artifact_proxy import stopping
from artifact_proxy.errors import ArtifactError, DigestMismatch, Unavailable

logger = logging.getLogger(__name__)

RETRIES = 5
"""Of which even the shortest pauses outlive a restart of 15 seconds."""
_FIRST_SECONDS = 1.0
_LONGEST_SECONDS = 30.0
_LONGEST_WISH = 120.0
"""For no longer we obey a server that wants to be left alone."""

T = TypeVar("T")


class Patience:
    """The attempts that are left for one thing."""

    def __init__(self, retries: int) -> None:
        self._retries = retries
        self._used = 0

    def wait(self, error: ArtifactError) -> None:
        """Returns when it is time for the next attempt. Raises `error` where there is none."""
        if self._used >= self._retries or (isinstance(error, Unavailable) and error.is_final):
            raise error
        longest = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2**self._used)
        # Half of it by chance: those who failed together do not come back together.
        seconds = random.uniform(longest / 2, longest)  # noqa: S311 - no secret
        if isinstance(error, Unavailable) and error.retry_after is not None:
            seconds += min(error.retry_after, _LONGEST_WISH)
        self._used += 1
        logger.warning("%s Trying again in %.1f s.", error, seconds)
        stopping.sleep(seconds)

    def renew(self) -> None:
        """Something has come of an attempt, so all of them are there again."""
        self._used = 0

    def repeat(self, attempt: Callable[[], T]) -> T:
        """What `attempt` gives, once it does not raise what may pass."""
        while True:
            try:
                return attempt()
            except (Unavailable, DigestMismatch) as error:
                self.wait(error)
