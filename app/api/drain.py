"""Whether this server process is on its way out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Drain:
    begun: bool = False
    """From the signal on: other servers are to be asked instead."""
