"""The numbers of the command line, and what is said of those that are none."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import TypeVar

_LONGEST_SECONDS = 1_000_000
N = TypeVar("N", int, float)


def positive(text: str) -> int:
    if not (number := _number(int, text)) or number < 1:
        raise ArgumentTypeError(f"{text!r} is no number of transfers at once; give 1 or more.")
    return number


def count(text: str) -> int:
    if (number := _number(int, text)) is None or number < 0:
        raise ArgumentTypeError(f"{text!r} is no number of attempts; give 0 or more.")
    return number


def seconds(text: str) -> float:
    if not (number := _number(float, text)) or not 0 < number < _LONGEST_SECONDS:
        raise ArgumentTypeError(
            f"{text!r} is no number of seconds; give more than 0, and less than {_LONGEST_SECONDS}."
        )
    return number


def _number(kind: Callable[[str], N], text: str) -> N | None:
    try:
        return kind(text)
    except ValueError:
        return None
