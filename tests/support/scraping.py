"""What a server tells Prometheus, as Prometheus reads it; and what there is to tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import httpx
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from app import metrics
from tests.support.server import Server


@dataclass(frozen=True)
class Scrape:
    text: str

    @property
    def samples(self) -> list[Sample]:
        return [sample for family in text_string_to_metric_families(self.text) for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """Of all series with these labels together; 0 without any."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


def scrape(server: Server, client: httpx.Client) -> Scrape:
    return Scrape(client.get(f"{server.url}/metrics").raise_for_status().text)


def here() -> Scrape:
    """What this process itself has counted."""
    return Scrape(metrics.exposed("")[0].decode())


class Defined(NamedTuple):
    name: str
    """As it is looked for: that of a counter has its suffix, that of a histogram none."""
    kind: str
    labels: tuple[str, ...]
    mode: str
    """How the values of several workers become one, for a gauge."""


def defined() -> list[Defined]:
    """All metrics of the server, in their order."""
    found = []
    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            [family] = metric.describe()
            suffix = "_total" if isinstance(metric, Counter) else ""
            mode = metric._multiprocess_mode if isinstance(metric, Gauge) else ""
            found.append(Defined(family.name + suffix, family.type, tuple(metric._labelnames), mode))
    return found
