"""The hierarchy of errors: as it is drawn, and answered so that nobody repeats what cannot help."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest

from app import errors
from app.api.problems import TABLE, answer_for
from app.storage.ranges import RangeNotSatisfiable

REPEATED_BY_CLIENTS = {408, 429, 500, 502, 503, 504}


def subclasses(kind: type[errors.ArtifactError]) -> Iterator[type[errors.ArtifactError]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


KINDS = [kind for kind in subclasses(errors.ArtifactError) if kind.__module__.startswith("app.")]


def drawn() -> dict[str, str]:
    """Each error in the drawing on top of the module, and what stands above it."""
    parents: dict[str, str] = {}
    above = ["ArtifactError"]
    for line in inspect.cleandoc(errors.__doc__ or "").splitlines():
        if found := re.match(r" {4}([│ ]*)[├└]── (\w+)", line):
            depth = 1 + len(found[1]) // 4
            above[depth:] = [found[2]]
            parents[found[2]] = above[depth - 1]
    return parents


def test_the_drawing_is_the_hierarchy() -> None:
    assert drawn() == {kind.__name__: kind.__bases__[0].__name__ for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_error_says_what_it_means(kind: type[errors.ArtifactError]) -> None:
    assert kind.__doc__


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_clients_repeat_only_what_another_try_may_help(kind: type[errors.ArtifactError]) -> None:
    error = kind.__new__(kind)
    status = answer_for(error).status
    passes = (errors.StorageError, errors.TryLater, errors.TransferTooSlow)
    passing = issubclass(kind, passes) and kind not in {errors.StorageFull, errors.StoragePermissionDenied}
    assert (status in REPEATED_BY_CLIENTS) is passing


def test_an_error_without_an_answer_of_its_own_has_that_of_its_kind() -> None:
    class Stranger(errors.StorageTimeout):
        pass

    assert answer_for(Stranger()) == TABLE[errors.StorageTimeout]
    assert answer_for(errors.InvalidPath()) == TABLE[errors.InvalidRequest]
    assert RangeNotSatisfiable in TABLE
