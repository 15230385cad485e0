"""How those who wait are told how far transfers are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[int], None]
"""Told of bytes as they are transferred; of fewer than none where they are transferred again."""
EachProgress: TypeAlias = Callable[[str, int], None]
"""As `Progress`, for the transfer of that source."""


def unseen(*_: object) -> None:
    """The progress that nobody wants to see."""
