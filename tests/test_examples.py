"""config/artifact-proxy.env.example: every variable that an operator may set, at its default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from app import config
from app.settings import settings_class

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


def of_compose() -> dict[str, str]:
    """The variables that docker-compose.yml reads for itself, with their defaults."""
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    found = re.findall(r"\$\{([A-Z_]+):-((?:[^{}]|\$\{[^}]*\})*)\}", text)
    return {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", default) for name, default in found}


def of_nginx() -> dict[str, str]:
    """Those of scripts/nginx-conf."""
    text = (ROOT / "scripts" / "nginx-conf").read_text("utf-8")
    return dict(re.findall(r'^export ([A-Z_]+)="\$\{\1-(.*)\}"$', text, re.MULTILINE))


def test_it_has_every_variable_once() -> None:
    settings = map(config.variable_name, settings_class().model_fields)
    names = [name for name, _ in assignments()]
    wanted = {config.CONFIG_VARIABLE, *settings} | CREDENTIALS | set(of_compose()) | set(of_nginx())
    assert sorted(names) == sorted(wanted)


def test_those_of_compose_and_of_nginx_have_their_defaults_too() -> None:
    values = dict(assignments())
    assert len(of_compose()) > 10
    assert len(of_nginx()) > 10
    assert {name: values[name] for name in of_compose()} == of_compose()
    assert {name: values[name] for name in of_nginx()} == of_nginx()


def test_the_table_of_the_variables_of_compose_is_complete_and_has_the_defaults() -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", page, re.MULTILINE))
    secrets = {name for name in of_compose() if name.startswith("STORE_")}
    assert set(rows) == set(of_compose()) - secrets
    assert all(f"`{name}`" in page for name in secrets)
    for name, default in of_compose().items():
        if default:
            assert rows[name] == f"`{default}`"


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
    for name, field in settings_class().model_fields.items():
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


def test_what_users_make_and_may_have_secrets_in_is_no_part_of_the_repository_or_of_the_image() -> None:
    untracked = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert {"/config/artifact-proxy.env", "/.env", "/tls/", "/docker-compose.override.yml"} <= set(untracked)
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in ignored
    assert not [line for line in ignored if line.startswith("!config")]
