"""What a line of the server's log looks like, whatever is in it."""

from __future__ import annotations

import json
import logging

import pytest

from app.logs import ConsoleLines, JsonLines

HOSTILE = "a\nb\r\x1b[31m\x7f\x85\u2028\u202e\ud800"


def failure(message: str) -> logging.LogRecord:
    """A record with a traceback in which a stranger has a word."""
    try:
        raise ValueError(message)
    except ValueError as error:
        caught = (ValueError, error, error.__traceback__)
    return logging.LogRecord("app.test", logging.ERROR, __file__, 1, "got %s", (message,), caught)


def test_json_is_one_line_of_printable_ascii_whatever_strangers_send() -> None:
    line = JsonLines().format(failure(HOSTILE))
    assert line.isascii()
    assert line.isprintable()
    said = json.loads(line)
    assert said["message"] == f"got {HOSTILE}"
    assert said["exception"].startswith("Traceback (most recent call last):\n")
    assert said["exception"].endswith(f"ValueError: {HOSTILE}")
    assert "request_id" not in said


def test_on_a_console_only_a_traceback_has_more_lines_and_they_are_indented() -> None:
    first, *others = ConsoleLines().format(failure(HOSTILE)).split("\n")
    assert first.endswith(r" ERROR got a\nb\r\x1b[31m\x7f\x85\u2028\u202e\ud800")
    assert others[0] == "  Traceback (most recent call last):"
    assert others[-2:] == ["  ValueError: a", r"  b\r\x1b[31m\x7f\x85\u2028\u202e\ud800"]
    for each in (first, *others):
        assert each.isprintable()
        assert each.startswith("  ") is (each != first)


def test_words_of_people_stay_as_they_are() -> None:
    record = logging.LogRecord("app.test", logging.INFO, __file__, 1, "Grüße, 日本\n", (), None)
    assert ConsoleLines().format(record).endswith(" INFO Grüße, 日本")


@pytest.mark.parametrize("form", [ConsoleLines(), JsonLines()], ids=["console", "json"])
def test_none_is_longer_than_a_bound_and_the_end_of_a_traceback_is_kept(form: logging.Formatter) -> None:
    line = form.format(failure("x" * 1_000_000 + "the end"))
    assert len(line) < 25_000
    assert "the end" in line
    assert " got xxx" in line or '"got xxx' in line
