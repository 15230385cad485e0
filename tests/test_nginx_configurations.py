"""The complete nginx configurations are valid, and one in all but what makes them different.

nginx-tracking.conf is a part of nginx.conf where it is wanted, and is judged as such.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.nginx import ROOT, configuration, newer_nginx
from tests.support.ports import free_ports
from tests.support.private_authority import private_authority

TEMPLATES = ("nginx.conf", "nginx-migration.conf")
TEXTS = {name: (ROOT / "config" / name).read_text("utf-8") for name in TEMPLATES}
TRACKING = (ROOT / "config" / "nginx-tracking.conf").read_text("utf-8")
HEAD = TEXTS["nginx.conf"].split("\n\nworker_processes")[0]
PIECE = re.compile(r"""#[^\n]*|(?:\$\{\w+\}|"[^"]*"|'[^']*'|[^\s;{}"'])+|[;{}]""")
FORWARDED = "http / proxy_set_header"

ONLY_IN_FRONT_OF_ARTIFACTS = (
    "http / server / location ^~ ${ARTIFACT_PROXY_STATIC_PREFIX}/ / ",
    "http / server / location = ${ARTIFACT_PROXY_STATIC_PREFIX}/metrics / ",
    "http / server / location ~ ^ / ",
    "http / upstream artifact_proxy / keepalive_timeout 60s",
    # What nginx itself answers there, and for files that it sends.
    "http / server / location ^~ /_files/ / ",
    "http / server / location @unreadable / ",
    "http / server / location @no_file / ",
    "http / server / error_page 404 @not_found",
    "http / server / location @not_found / ",
    "http / server / location @unsatisfiable / ",
    "http / include ${NGINX_STATE}/servers/*.conf",
)
ONLY_IN_FRONT_OF_BOTH = (
    "http / upstream tracking_server / ",
    "http / server / location / / ",
    "http / upstream artifact_proxy / keepalive_timeout 3s",
    "http / server / location ~ ^${ARTIFACT_PROXY_STATIC_PREFIX}/(ajax-)?api/2\\.0/mlflow-artifacts/ / ",
    "http / server / location ~ ^${ARTIFACT_PROXY_STATIC_PREFIX}/(ajax-)?api/3\\.0/mlflow/server-info$ / ",
)


def directives(text: str) -> Iterator[str]:
    """Every simple directive, those for TLS as well, after the blocks that it stands in."""
    blocks: list[str] = []
    words: list[str] = []
    for piece in PIECE.findall(text.replace("#tls ", "")):
        if piece == "{":
            blocks.append(" ".join(words))
        elif piece == "}":
            blocks.pop()
        elif piece == ";" or piece == "${ARTIFACT_PROXY_SERVERS}":
            yield " / ".join([*blocks, " ".join([*words, piece]).removesuffix(" ;")])
        elif not piece.startswith("#"):
            words.append(piece)
            continue
        words = []
    assert not blocks
    assert not words


def test_the_two_agree_in_everything_but_what_makes_them_different() -> None:
    plain = list(directives(TEXTS["nginx.conf"]))
    migration = list(directives(TEXTS["nginx-migration.conf"]))
    for own, found in ((ONLY_IN_FRONT_OF_ARTIFACTS, plain), (ONLY_IN_FRONT_OF_BOTH, migration)):
        for part in own:
            assert any(directive.startswith(part) for directive in found), part
    common = [directive for directive in plain if not directive.startswith(ONLY_IN_FRONT_OF_ARTIFACTS)]
    assert len(common) > 60
    assert common == [directive for directive in migration if not directive.startswith(ONLY_IN_FRONT_OF_BOTH)]


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_must_hold_for_streaming_and_safety_holds_everywhere(template: str) -> None:
    found = list(directives(TEXTS[template]))
    for directive in (
        "proxy_request_buffering off",
        "proxy_buffering off",
        "merge_slashes off",
        "client_max_body_size ${MAX_ARTIFACT_SIZE}",
        "proxy_set_header X-Forwarded-For $remote_addr",
        "proxy_next_upstream error timeout",
    ):
        assert f"http / {directive}" in found
        name = directive.split()[0]
        others = {other.rpartition(" / ")[2] for other in found if f" / {name} " in other} - {directive}
        if name == "proxy_next_upstream":
            assert others == {"proxy_next_upstream off"}, "for writes on a condition"
        elif name != "proxy_set_header":
            assert not others, "nothing says otherwise further down"
    passes = [directive.rpartition(" / ")[2] for directive in found if "/ proxy_pass " in directive]
    assert passes
    for each in passes:
        assert re.fullmatch(r"proxy_pass http://\w+", each), "with a path, the client's would be rewritten"


@pytest.mark.parametrize("template", TEMPLATES)
def test_whoever_sets_a_header_for_the_servers_sets_them_all(template: str) -> None:
    """nginx takes those of the block around it only where a block has none of its own."""
    found = list(directives(TEXTS[template]))
    common = {each.removeprefix("http / ") for each in found if each.startswith(FORWARDED)}
    assert len(common) == 10
    blocks = {each.rpartition(" / ")[0] for each in found if " / proxy_set_header " in each} - {"http"}
    assert len(blocks) == (template == "nginx-migration.conf")
    require_all(common, blocks, found)


def test_whoever_sets_one_in_front_of_the_tracking_server_sets_them_all_too() -> None:
    common = {
        each.removeprefix("http / ") for each in directives(TEXTS["nginx.conf"]) if each.startswith(FORWARDED)
    }
    found = list(directives(TRACKING))
    require_all(common, {"server / location /", "server / location = /_identity"}, found)
    assert 'server / location / / proxy_set_header Authorization ""' in found


def require_all(common: set[str], blocks: set[str], found: list[str]) -> None:
    for block in blocks:
        own = {each.removeprefix(f"{block} / ") for each in found if each.startswith(f"{block} / ")}
        assert common <= own


def test_all_that_nginx_answers_by_itself_is_json_and_is_taken_for_nothing_else() -> None:
    answers = re.compile(r"^( +)return \d{3} '\{.*?\}';$", re.MULTILINE)
    for text in (*TEXTS.values(), TRACKING):
        locations = re.findall(r"^    ( *)location [^{]+ \{\n(.*?)^    \1\}$", text, re.MULTILINE | re.DOTALL)
        answering = [body for _, body in locations if answers.search(body)]
        assert len(answering) > 2
        for body in answering:
            assert "default_type application/json;" in body
            said = body.count("add_header X-Content-Type-Options nosniff always;")
            assert said == len(answers.findall(body))


def variables(text: str) -> set[str]:
    return set(re.findall(r"\$\{(\w+)\}", text))


@pytest.mark.usefixtures("envsubst")
@pytest.mark.parametrize("template", TEMPLATES)
def test_every_variable_is_explained_and_filled_in(template: str) -> None:
    explained = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", HEAD))
    if template == "nginx-migration.conf":
        explained |= {"TRACKING_SERVER"}
        assert re.search(r"^#   TRACKING_SERVER  ", TEXTS[template], re.MULTILINE)
    assert variables(TEXTS[template]) <= explained
    assert variables(configuration(template)) == set(), "the script has a value for each"


@pytest.mark.usefixtures("envsubst")
def test_every_variable_of_the_tracking_servers_part_is_explained_there_or_in_front_of_all() -> None:
    explained = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", TRACKING.partition("\n\nupstream")[0] + HEAD))
    assert {"TRACKING_LISTEN", "TRACKING_SERVER"} < variables(TRACKING) <= explained
    assert variables(configuration("nginx-tracking.conf")) == set()


def test_every_variable_that_is_explained_is_used() -> None:
    rows = re.findall(r"^#   ([A-Z_]+) ", HEAD, re.MULTILINE)
    last = re.findall(r"[A-Z_]{3,}", HEAD.splitlines()[-1])
    assert len(rows) + len(last) == 12
    assert {*rows, *last} == variables(TEXTS["nginx.conf"])


@pytest.mark.usefixtures("envsubst")
@pytest.mark.parametrize("template", TEMPLATES)
def test_the_script_gives_each_variable_the_value_of_the_environment(template: str) -> None:
    names = sorted(variables(TEXTS[template]))
    filled = configuration(template, **{name: f"<{name} $host>" for name in names})
    for name in names:
        assert filled.count(f"<{name} $host>") == TEXTS[template].count(f"${{{name}}}")
    assert "$http_host" in filled, "the variables of nginx itself are left alone"


def usable(template: str, directory: Path, **variables: str) -> str:
    """With addresses, certificates and directories that there are."""
    authority = private_authority(directory)
    port, tls_port = free_ports(2)
    return configuration(
        template,
        NGINX_ACCESS_LOG=str(directory / "access.log"),
        NGINX_LISTEN=f"127.0.0.1:{port}",
        NGINX_PID=str(directory / "nginx.pid"),
        NGINX_STATE=str(directory),
        NGINX_TLS_LISTEN=f"127.0.0.1:{tls_port}",
        TLS_CERTIFICATE=str(authority.certificate_file),
        TLS_CERTIFICATE_KEY=str(authority.key_file),
        **variables,
    )


def judged(nginx: str, text: str, directory: Path) -> str:
    """What nginx says of the configuration, which it must find right."""
    file = directory / "nginx.conf"
    file.write_text(text)
    done = subprocess.run(
        [nginx, "-t", "-e", "stderr", "-c", file],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.usefixtures("envsubst")
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("prefix", ["", "/team/files"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_nginx_finds_the_configuration_right(
    need: Callable[[str], str], tmp_path: Path, template: str, prefix: str, tls: bool
) -> None:
    text = usable(
        template,
        tmp_path,
        ARTIFACT_PROXY_STATIC_PREFIX=prefix,
        ARTIFACT_PROXY_SERVERS="server 127.0.0.1:5501; server 127.0.0.1:5502;",
        MAX_ARTIFACT_SIZE="100g",
    )
    assert len(re.findall(r"^ +#tls ", text, re.MULTILINE)) == 6
    said = judged(need("nginx"), text.replace("#tls ", "") if tls else text, tmp_path)
    assert "warn" not in said


@pytest.mark.usefixtures("envsubst")
@pytest.mark.parametrize("tls", [False, True])
def test_a_newer_nginx_takes_replicas_that_a_name_stands_for(tmp_path: Path, tls: bool) -> None:
    text = usable("nginx.conf", tmp_path, ARTIFACT_PROXY_SERVERS="server artifact-proxy:5500 resolve;")
    said = judged(newer_nginx(), text.replace("#tls ", "") if tls else text, tmp_path)
    assert "warn" not in said


@pytest.mark.usefixtures("envsubst")
@pytest.mark.parametrize("tls", [False, True])
def test_nginx_takes_the_tracking_servers_part_as_its_head_tells(
    need: Callable[[str], str], tmp_path: Path, tls: bool
) -> None:
    (tmp_path / "servers").mkdir()
    port, tls_port = free_ports(2)
    ports = {"TRACKING_LISTEN": f"127.0.0.1:{port}", "TRACKING_TLS_LISTEN": f"127.0.0.1:{tls_port}"}
    texts = {
        name: usable(name, tmp_path, **ports).replace("#tls ", "" if tls else "#tls ")
        for name in ("nginx.conf", "nginx-tracking.conf")
    }
    (tmp_path / "servers" / "tracking.conf").write_text(texts["nginx-tracking.conf"])
    assert "warn" not in judged(need("nginx"), texts["nginx.conf"], tmp_path)
    (tmp_path / "servers" / "tracking.conf").write_text("listens;")
    with pytest.raises(AssertionError, match="listens"):
        judged(need("nginx"), texts["nginx.conf"], tmp_path)
