"""Readers of tabular data take artifacts by URL, and of Parquet only the bytes that they need."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from typing import Any

import aiohttp
import fsspec
import httpx
import numpy
import pandas
import pytest
from fsspec.implementations.http import HTTPFileSystem
from pyarrow import parquet

from tests.support.access_log import logged
from tests.support.server import Server

ROWS, ROW_GROUPS = 400_000, 8


@pytest.fixture(scope="module")
def table() -> pandas.DataFrame:
    """Of random numbers, which nothing can compress: about 10 MB."""
    random = numpy.random.default_rng(7)
    return pandas.DataFrame({name: random.standard_normal(ROWS) for name in ("x", "y", "z")})


@pytest.fixture(scope="module")
def content(table: pandas.DataFrame) -> bytes:
    written = io.BytesIO()
    table.to_parquet(written, row_group_size=ROWS // ROW_GROUPS)
    return written.getvalue()


@pytest.fixture(params=["native", "mlflow"])
def url(
    request: pytest.FixtureRequest, server: Server, folder: str, client: httpx.Client, content: bytes
) -> str:
    """Of the table as Parquet, over one of the two HTTP surfaces."""
    base = server.native if request.param == "native" else f"{server.mlflow}/artifacts"
    client.put(f"{base}/{folder}/table.parquet", content=content).raise_for_status()
    return f"{base}/{folder}/table.parquet"


class Counted:
    """fsspec's file system over HTTP, with the bytes of bodies that arrived."""

    def __init__(self) -> None:
        self.received = 0
        self._sessions: list[aiohttp.ClientSession] = []
        # By default it reads 5 MiB ahead, which is half of our table.
        self.files = HTTPFileSystem(block_size=64 * 1024, get_client=self._session, skip_instance_cache=True)

    async def _session(self, **options: Any) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_response_chunk_received.append(self._count)
        self._sessions.append(aiohttp.ClientSession(trace_configs=[trace], **options))
        return self._sessions[-1]

    async def _count(
        self, session: object, context: object, chunk: aiohttp.TraceResponseChunkReceivedParams
    ) -> None:
        self.received += len(chunk.chunk)

    def close(self) -> None:
        for session in self._sessions:
            asyncio.run_coroutine_threadsafe(session.close(), self.files.loop).result(20)


@pytest.fixture
def counted() -> Iterator[Counted]:
    counting = Counted()
    yield counting
    counting.close()


def statuses(server: Server, url: str) -> list[int]:
    """Of the downloads that the server answered."""
    path = httpx.URL(url).path
    return [request.status for request in logged(server, path) if request.method == "GET"]


def test_one_column_of_one_row_group_is_read_without_the_rest(
    server: Server, url: str, counted: Counted, table: pandas.DataFrame, content: bytes
) -> None:
    with counted.files.open(url) as file:
        part = parquet.ParquetFile(file).read_row_group(5, columns=["y"])
    expected = table["y"][5 * ROWS // ROW_GROUPS : 6 * ROWS // ROW_GROUPS]
    assert numpy.array_equal(part["y"].to_numpy(), expected.to_numpy())
    # One of three columns in one of eight groups, and as much again for the footer and reading ahead.
    assert len(content) // 24 < counted.received < len(content) // 12
    assert set(statuses(server, url)) == {206}


def test_pandas_reads_one_column_of_a_parquet_file_by_ranges(
    server: Server, url: str, counted: Counted, table: pandas.DataFrame, content: bytes
) -> None:
    with counted.files.open(url) as file:
        read = pandas.read_parquet(file, columns=["x"])
    pandas.testing.assert_frame_equal(read, table[["x"]])
    assert len(content) // 3 < counted.received < len(content) * 2 // 3
    assert set(statuses(server, url)) == {206}


def test_pandas_reads_a_whole_parquet_file_from_its_url(url: str, table: pandas.DataFrame) -> None:
    pandas.testing.assert_frame_equal(pandas.read_parquet(url), table)


def test_fsspec_knows_the_size_and_reads_any_part(url: str, counted: Counted, content: bytes) -> None:
    assert counted.files.size(url) == len(content)
    assert counted.files.cat_file(url, 1000, 2000) == content[1000:2000]
    assert counted.files.cat_file(url, -100, None) == content[-100:]
    assert counted.received < 2000


def test_pandas_reads_csv_from_its_url(server: Server, client: httpx.Client, folder: str) -> None:
    small = pandas.DataFrame({"name": ["ä", "b"], "value": [1, 2]})
    url = f"{server.native}/{folder}/small.csv"
    client.put(url, content=small.to_csv(index=False).encode()).raise_for_status()
    mlflow_url = f"{server.mlflow}/artifacts/{folder}/small.csv"
    for read_from in (url, mlflow_url):
        pandas.testing.assert_frame_equal(pandas.read_csv(read_from), small)


def test_fsspec_opens_a_url_as_a_text_file(server: Server, client: httpx.Client, folder: str) -> None:
    url = f"{server.native}/{folder}/lines.txt"
    client.put(url, content=b"one\ntwo\n").raise_for_status()
    with fsspec.open(url, "rt") as file:
        assert file.read() == "one\ntwo\n"
