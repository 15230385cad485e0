"""config/artifact-proxy.env.example: every variable that an operator may set, at its default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from app import config

ROOT = Path(__file__).parent.parent
LINES = (ROOT / "config" / "artifact-proxy.env.example").read_text("utf-8").splitlines()
ASSIGNMENT = re.compile(r"# ([A-Z][A-Z0-9_]*)=(.*)")
CREDENTIALS = {
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_CONFIG_FILE"),
    *("AWS_SHARED_CREDENTIALS_FILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    "AWS_EC2_METADATA_DISABLED",
}


def assignments() -> list[tuple[str, str]]:
    """The variables and their values, without the comment marks before them."""
    return [(found[1], found[2]) for line in LINES if (found := ASSIGNMENT.fullmatch(line))]


def test_it_has_every_variable_once() -> None:
    settings = map(config.variable_name, config.settings_class().model_fields)
    names = [name for name, _ in assignments()]
    assert sorted(names) == sorted({config.CONFIG_VARIABLE, *settings} | CREDENTIALS)


def test_as_it_stands_it_sets_nothing() -> None:
    """So a copy of it changes nothing, whoever reads it."""
    assert [line for line in LINES if line and not line.startswith("#")] == []


def test_each_variable_is_explained_by_a_comment_before_it() -> None:
    for number, line in enumerate(LINES):
        if ASSIGNMENT.fullmatch(line):
            comment = LINES[number - 1]
            assert re.match(r"# \w", comment), line
            assert not ASSIGNMENT.fullmatch(comment), line


def test_each_setting_stands_at_its_default() -> None:
    values = dict(assignments())
    for name, field in config.settings_class().model_fields.items():
        default = "" if isinstance(field.default, SecretStr) else str(field.default)
        shown = default.lower() if isinstance(field.default, bool) else default
        assert values[config.variable_name(name)] == shown


@pytest.mark.usefixtures("no_variables")
def test_without_the_comment_marks_it_gives_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = config.load({}, None).settings
    for name, value in assignments():
        monkeypatch.setenv(name, value)
    assert config.load({}, None).settings == defaults


def test_its_values_mean_the_same_to_compose_and_to_systemd() -> None:
    """Either has rules of its own for quotes, dollars, backslashes, and comments behind a value."""
    for _, value in assignments():
        assert not re.search(r"""['"$\\#`]|^\s|\s$""", value)


def test_the_copy_of_it_that_may_have_secrets_is_no_part_of_the_repository_or_of_the_image() -> None:
    assert "/config/artifact-proxy.env" in (ROOT / ".gitignore").read_text("utf-8").splitlines()
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in ignored
    assert not [line for line in ignored if line.startswith("!config")]
