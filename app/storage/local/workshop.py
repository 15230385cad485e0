"""What all uploads to one local root share."""

from __future__ import annotations

from dataclasses import dataclass

from app.storage.local.disk import Disk
from app.storage.local.reserve import Reserve
from app.storage.local.tree import Tree


@dataclass(frozen=True, slots=True)
class Workshop:
    tree: Tree
    disk: Disk
    reserve: Reserve
    durable: bool
    """Whether what is acknowledged survives a crash of the machine."""
