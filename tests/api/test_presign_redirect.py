"""Plain downloads that are redirected to the store, and those that are not."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.answers import BAD, MISSING, told
from tests.support.presigning import (
    REDIRECT_ABOVE,
    Place,
    query,
)
from tests.support.server import Server


class TestRedirect:
    @pytest.fixture
    def large(self, presigning: Server, client: httpx.Client, folder: str) -> bytes:
        """What is stored at `folder`/large.txt, and at `folder`/limit.txt without its last byte."""
        content = bytes(range(256)) * 4
        content = content[: REDIRECT_ABOVE + 1]
        client.put(f"{presigning.native}/{folder}/large.txt", content=content).raise_for_status()
        client.put(f"{presigning.native}/{folder}/limit.txt", content=content[:-1]).raise_for_status()
        return content

    @pytest.fixture(params=["native", "mlflow", "ajax"])
    def base(self, request: pytest.FixtureRequest, redirecting: Server, folder: str, large: bytes) -> str:
        prefixes = {
            "native": redirecting.native,
            "mlflow": f"{redirecting.mlflow}/artifacts",
            "ajax": f"{redirecting.url}/ajax-api/2.0/mlflow-artifacts/artifacts",
        }
        return f"{prefixes[request.param]}/{folder}"

    def test_sends_plain_downloads_of_larger_artifacts_to_the_store(
        self, client: httpx.Client, place: Place, base: str, large: bytes
    ) -> None:
        redirect = client.get(f"{base}/large.txt")
        assert redirect.status_code == 307
        assert redirect.headers["cache-control"] == "no-store"
        url = redirect.headers["location"]
        assert url.startswith(f"{place.public.url}/{place.bucket}/root/")
        assert query(url)["X-Amz-Expires"] == "77"
        direct = client.get(url)
        assert direct.content == large
        assert direct.headers["content-disposition"] == "attachment; filename=large.txt"

    def test_is_followed_by_curl(
        self, need: Callable[[str], str], base: str, large: bytes, tmp_path: Path
    ) -> None:
        command = [need("curl"), "--disable", "-sfL", "-u", "user:password", "-o", "got", f"{base}/large.txt"]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
        assert (tmp_path / "got").read_bytes() == large

    def test_spares_artifacts_that_are_not_larger(
        self, client: httpx.Client, base: str, large: bytes
    ) -> None:
        answered = client.get(f"{base}/limit.txt")
        assert (answered.status_code, answered.content) == (200, large[:-1])

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Range": "bytes=0-9"}, 206),
            ({"Range": "bytes=0-9", "If-Range": '"other"'}, 200),
            ({"If-None-Match": '"other"'}, 200),
            ({"If-Match": "*"}, 200),
            ({"If-Match": '"other"'}, 412),
            ({"If-None-Match": "*"}, 304),
            ({"If-Modified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}, 200),
            ({"If-Unmodified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}, 412),
        ],
        ids=str,
    )
    def test_spares_ranges_and_conditional_requests(
        self, client: httpx.Client, base: str, large: bytes, headers: dict[str, str], status: int
    ) -> None:
        answered = client.get(f"{base}/large.txt", headers=headers)
        assert answered.status_code == status
        assert "location" not in answered.headers
        if status in {200, 206}:
            assert answered.content == (large if status == 200 else large[:10])

    def test_spares_head(self, client: httpx.Client, base: str, large: bytes) -> None:
        answered = client.head(f"{base}/large.txt")
        assert (answered.status_code, answered.headers["content-length"]) == (200, str(len(large)))
        assert "location" not in answered.headers

    def test_hides_neither_missing_artifacts_nor_directories(self, client: httpx.Client, base: str) -> None:
        assert told(client.get(f"{base}/nope")) == MISSING
        assert told(client.get(base)) == BAD

    def test_is_off_by_default(
        self, presigning: Server, client: httpx.Client, folder: str, large: bytes
    ) -> None:
        assert client.get(f"{presigning.native}/{folder}/large.txt").content == large
