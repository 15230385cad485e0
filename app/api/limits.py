"""How much one caller may ask for: requests per second, and transfers at once. Each worker counts its own."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from app.errors import TooManyRequests
from app.identity.base import ANYBODY, Identity

_BURST_SECONDS = 2
_MAX_BUCKETS = 10_000


@dataclass(slots=True)
class _Bucket:
    """Fills with time, and each request takes one out of it."""

    tokens: float
    filled: float


class Limits:
    def __init__(
        self,
        *,
        transfers_per_identity: int = 0,
        requests_per_second: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """0 for no limit. Where nobody is asked who they are, there is none."""
        self._per_identity = transfers_per_identity
        self._rate = requests_per_second
        self._clock = clock
        self._transfers: Counter[tuple[str, str]] = Counter()
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._swept = -math.inf

    def take_request(self, identity: Identity) -> None:
        """Counts a request. Raises `TooManyRequests`."""
        if not self._rate or identity is ANYBODY:
            return
        now = self._clock()
        bucket = self._buckets.get(identity.key)
        if bucket is None:
            if len(self._buckets) >= _MAX_BUCKETS and now - self._swept >= _BURST_SECONDS:
                self._forget_full(now)
            bucket = self._buckets[identity.key] = _Bucket(self._rate * _BURST_SECONDS, now)
        bucket.tokens = min(self._rate * _BURST_SECONDS, bucket.tokens + (now - bucket.filled) * self._rate)
        bucket.filled = now
        if bucket.tokens < 1:
            raise TooManyRequests(f"You send more than {self._rate} requests per second; send fewer.", 1)
        bucket.tokens -= 1

    def _forget_full(self, now: float) -> None:
        """Those who have asked for nothing lately are as if they had never asked."""
        self._buckets = {
            key: bucket for key, bucket in self._buckets.items() if now - bucket.filled < _BURST_SECONDS
        }
        self._swept = now

    def begin_transfer(self, identity: Identity) -> None:
        """Counts a transfer until `end_transfer`. Raises `TooManyRequests`."""
        running = self._transfers[identity.key]
        if self._per_identity and identity is not ANYBODY and running >= self._per_identity:
            raise TooManyRequests(
                f"You have {running} transfers running, as many as you may; wait for one to end."
            )
        self._transfers[identity.key] += 1

    def end_transfer(self, identity: Identity) -> None:
        self._transfers[identity.key] -= 1
        if not self._transfers[identity.key]:
            del self._transfers[identity.key]
