"""What metrics there are, where they are kept, and what is said of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from app.audit import AuditLog
from tests.support.scraping import Scrape, defined, here

MONITORING = (Path(__file__).parent.parent / "docs" / "monitoring.md").read_text("utf-8")
SECTION = MONITORING.partition("## Metrics")[2].partition("\n## ")[0]


def test_the_table_of_the_documentation_has_exactly_what_there_is() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|(.*?)\| .+ \|$", SECTION, re.MULTILINE)
    documented = [(name, kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows]
    assert sorted(documented) == sorted((each.name, each.kind, each.labels) for each in defined())


def test_what_labels_say_is_of_a_small_number() -> None:
    known = {"route", "method", "status", "kind", "reason", "operation", "outcome", "check", "log"}
    for each in defined():
        assert set(each.labels) <= known | {"version", "python"}, each.name


def test_no_metric_is_told_for_each_process() -> None:
    """A label with a process's number would grow with each worker that is replaced."""
    gauges = [each for each in defined() if each.kind == "gauge"]
    assert gauges
    assert {each.mode for each in gauges} <= {"livesum", "livemin", "livemax", "livemostrecent"}


def test_directories_for_other_programs_are_left_to_them(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    variables = {
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "none"),
        "prometheus_multiproc_dir": str(tmp_path / "theirs"),
    }
    program = "import app.cli; from app import metrics; print(metrics.exposed('')[0].decode())"
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr == ""
    assert Scrape(ended.stdout).value("artifact_proxy_build_info") == 1
    assert [str(each) for each in tmp_path.rglob("*")] == [str(tmp_path / "theirs")]


def test_audit_lines_that_are_lost_are_counted_once() -> None:
    """Each of them is followed by the attempt to tell of those before."""
    before = here().value("artifact_proxy_lost_log_lines_total", log="audit")
    log = AuditLog("/dev/full")
    for _ in range(5):
        log.write({})
    log.close()
    assert here().value("artifact_proxy_lost_log_lines_total", log="audit") - before == 5
