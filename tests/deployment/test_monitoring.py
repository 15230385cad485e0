"""The shipped dashboard and alert rules ask for what the server really tells; alerts are raised when due."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import promql_parser as promql
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.scraping import defined, scrape
from tests.support.server import running

CONFIG = Path(__file__).parents[2] / "config"
RULES = CONFIG / "prometheus" / "artifact-proxy.rules.yml"
DASHBOARD = json.loads((CONFIG / "grafana" / "artifact-proxy.json").read_text("utf-8"))
OF_THE_SCRAPE = {"job", "instance", "le"}
"""Labels that samples have besides their own."""
OF_PROMETHEUS = {"up"}
VARIABLES = {"$__rate_interval": "5m", "$job": "artifact-proxy", "$instance": ".*"}
LABELS = {metric.name: set(metric.labels) for metric in defined()}
_OF_HISTOGRAMS = re.compile("_(bucket|count|sum)$")


class Asked(NamedTuple):
    metric: str
    labels: set[str]


def rules() -> Iterator[tuple[str, str]]:
    for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def panels() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for variable, value in VARIABLES.items():
                expression = expression.replace(variable, value)
            yield f"{panel['title']} {target['refId']}", expression


EXPRESSIONS = dict([*rules(), *panels()])


def asked(expression: str) -> list[Asked]:
    """The metrics that an expression reads, each with its own labels and those of all groups."""
    selectors: list[promql.VectorSelector] = []
    grouped: set[str] = set()

    def visit(node: promql.Expr) -> bool:
        if isinstance(node, promql.VectorSelector):
            selectors.append(node)
        if isinstance(node, promql.MatrixSelector):
            selectors.append(node.vector_selector)
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            grouped.update(node.modifier.labels)
        return True

    promql.walk(promql.parse(expression), visit)
    return [
        Asked(
            _OF_HISTOGRAMS.sub("", selector.name or ""),
            {matcher.name for matcher in selector.matchers.matchers} | grouped,
        )
        for selector in selectors
    ]


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of all metrics that a real server tells, its process's own among them."""
    with running(tmp_path_factory.mktemp("metrics") / "root") as server, httpx.Client() as client:
        text = scrape(server, client).text
    return {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in text_string_to_metric_families(text)
    }


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_what_is_asked_for_exists_with_the_labels_that_are_looked_at(name: str, exposed: set[str]) -> None:
    found = asked(EXPRESSIONS[name])
    assert found, EXPRESSIONS[name]
    for metric, labels in found:
        assert metric in exposed | OF_PROMETHEUS
        assert labels - OF_THE_SCRAPE <= LABELS.get(metric, set())


def test_every_metric_of_ours_is_shown_or_watched() -> None:
    seen = {metric for expression in EXPRESSIONS.values() for metric, _ in asked(expression)}
    assert LABELS.keys() <= seen


def test_prometheus_takes_the_shipped_configuration(need: Callable[[str], str]) -> None:
    checked = subprocess.run(
        [need("promtool"), "check", "config", str(RULES.with_name("prometheus.yml"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert "FAILED" not in checked.stdout + checked.stderr


def test_each_alert_is_raised_when_it_is_due_and_not_before(need: Callable[[str], str]) -> None:
    cases = Path(__file__).with_name("alerts.test.yml")
    raised = {
        alert["alertname"]
        for case in yaml.safe_load(cases.read_text("utf-8"))["tests"]
        for alert in case["alert_rule_test"]
        if alert["exp_alerts"]
    }
    assert raised == {name for name, _ in rules()}
    tested = subprocess.run(
        [need("promtool"), "test", "rules", str(cases)], capture_output=True, text=True, check=False
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_panels_have_names_and_places_of_their_own() -> None:
    shown = DASHBOARD["panels"]
    assert len({panel["id"] for panel in shown}) == len(shown)
    titles = [panel["title"] for panel in shown if panel["type"] != "row"]
    cells = [
        (x, y)
        for panel in shown
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert all(titles)
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
