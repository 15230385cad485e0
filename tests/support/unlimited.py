"""A gateway without limits, for tests in which they do not matter."""

from __future__ import annotations

import sys

from app.api.access import Access
from app.api.admission import Admission, Transfer
from app.api.direct import DirectGateway
from app.api.gateway import Gateway
from app.api.limits import Limits
from app.api.pace import Pace
from app.api.quotas import Quotas
from app.api.threads import StorageThreads
from app.budget import Budget
from app.storage.base import Storage

UNHURRIED = Pace(rate=0, patience=60)


def boundless() -> Transfer:
    """One that may hold as much as it wants."""

    async def grant(size: int) -> None:
        """At once."""

    return Transfer(Budget(sys.maxsize), 0, grant)


def unlimited(storage: Storage, threads: StorageThreads) -> Gateway:
    access = Access(read_only=False, no_delete=False)
    admission = Admission(Limits())
    direct = DirectGateway(storage, threads, access, admission, None)
    quotas = Quotas({}, None, threads)
    return Gateway(storage, threads, access, direct, admission, quotas, max_size=0, pace=UNHURRIED)
