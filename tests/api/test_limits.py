"""How much a caller may ask for, at once and in all, and that every place is given back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from socket import socket

import httpx
import pytest

from tests.support.access import bearer, token_stanza
from tests.support.guarded import flooded, guarded, told
from tests.support.raw import connection, exchange, head
from tests.support.server import Server
from tests.support.waiting import wait_until

MAX_SIZE = 1_000_000
TOO_MANY = (429, "REQUEST_LIMIT_EXCEEDED")
TOO_LARGE = (413, "INVALID_PARAMETER_VALUE")


@pytest.fixture(scope="module")
def tokens() -> dict[str, tuple[str, str]]:
    return {name: token_stanza(name, "all:") for name in ("alice", "bob", "hasty")}


@pytest.fixture(scope="module")
def known(tokens: dict[str, tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    flags = {
        "--max-transfers": "3",
        "--admission-timeout": "0.1",
        "--max-transfers-per-identity": "2",
        "--max-artifact-size": str(MAX_SIZE),
        "--max-json-size": "1024",
        "--max-requests-per-second": "50",
    }
    with guarded(
        tmp_path_factory.mktemp("limits"),
        *(stanza for _, stanza in tokens.values()),
        flags=[text for flag in flags.items() for text in flag],
    ) as server:
        (server.root / "file").write_bytes(b"data")
        (server.root / "large").write_bytes(bytes(30_000_000))
        yield server


Headers = Callable[[str], dict[str, str]]


@pytest.fixture(scope="module")
def whose(tokens: dict[str, tuple[str, str]]) -> Headers:
    return lambda name: bearer(tokens[name][0])


def line(headers: dict[str, str]) -> str:
    return f"Authorization: {headers['Authorization']}"


@contextmanager
def uploading(server: Server, headers: dict[str, str], path: str) -> Iterator[socket]:
    """An upload of four bytes, of which one is sent."""
    running = len(server.staged())
    with connection(server.url) as connected:
        connected.sendall(head("PUT", f"/v1/artifacts/{path}", line(headers), "Content-Length: 4") + b"d")
        wait_until(lambda: len(server.staged()) > running, "the upload has begun")
        yield connected


class TestOverHttp:
    @pytest.fixture(autouse=True)
    def idle(self, known: Server) -> None:
        """What another test has broken off is over."""
        wait_until(lambda: not known.staged(), "no upload is running")

    def test_more_transfers_than_there_may_be_are_put_off(
        self, known: Server, client: httpx.Client, whose: Headers, folder: str
    ) -> None:
        with ExitStack() as stack:
            for name in ("a", "b"):
                stack.enter_context(uploading(known, whose("alice"), f"{folder}/{name}"))
            for method, url in (
                ("PUT", f"{known.native}/{folder}/c"),
                ("GET", f"{known.native}/file"),
                ("GET", f"{known.mlflow}/artifacts/file"),
                ("GET", f"{known.native}/"),
                ("DELETE", f"{known.native}/none"),
            ):
                refused = client.request(method, url, headers=whose("alice"))
                assert told(refused) == TOO_MANY
                assert int(refused.headers["retry-after"]) > 0
            # What is asked of the storage in one go goes on.
            assert client.head(f"{known.native}/file", headers=whose("alice")).is_success

            assert client.get(f"{known.native}/file", headers=whose("bob")).is_success
            stack.enter_context(uploading(known, whose("bob"), f"{folder}/d"))
            busy = client.get(f"{known.native}/file", headers=whose("bob"))
            assert told(busy) == (503, "TEMPORARILY_UNAVAILABLE")
            assert int(busy.headers["retry-after"]) > 0
        assert known.tree().keys() == {"file", "large"}

    def test_an_upload_that_was_put_off_is_not_asked_for_its_body(
        self, known: Server, whose: Headers, folder: str
    ) -> None:
        expecting = head(
            "PUT",
            f"/v1/artifacts/{folder}/c",
            line(whose("alice")),
            "Content-Length: 4",
            "Expect: 100-continue",
        )
        with (
            uploading(known, whose("alice"), f"{folder}/a"),
            uploading(known, whose("alice"), f"{folder}/b"),
        ):
            assert exchange(known.url, expecting).status == 429

    @pytest.mark.parametrize(
        ("method", "path", "headers", "status"),
        [
            ("PUT", "{}/a", {}, 200),
            ("PUT", "file/below", {}, 409),
            ("PUT", "{}/a", {"If-Match": '"other"'}, 412),
            ("PUT", "{}/a", {"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, 400),
            ("GET", "file", {}, 200),
            ("GET", "large", {}, 200),
            ("GET", "none", {}, 404),
            ("GET", "file", {"If-None-Match": "*"}, 304),
            ("GET", "file", {"Range": "bytes=9-"}, 416),
        ],
    )
    def test_the_end_of_a_request_gives_its_place_back(
        self,
        *,
        known: Server,
        client: httpx.Client,
        whose: Headers,
        folder: str,
        method: str,
        path: str,
        headers: dict[str, str],
        status: int,
    ) -> None:
        url = f"{known.native}/{path.format(folder)}"
        content = b"data" if method == "PUT" else None
        client.put(f"{known.native}/{folder}/a", content=b"x", headers=whose("alice")).raise_for_status()
        for _ in range(4):
            got = client.request(method, url, content=content, headers=whose("alice") | headers)
            assert got.status_code == status
        client.delete(f"{known.native}/{folder}", headers=whose("alice")).raise_for_status()

    def test_so_does_a_client_that_goes_away(
        self, known: Server, client: httpx.Client, whose: Headers, folder: str
    ) -> None:
        def is_free() -> bool:
            return client.get(f"{known.native}/file", headers=whose("bob")).is_success

        for _ in range(4):
            with uploading(known, whose("bob"), f"{folder}/a"):
                pass
            wait_until(lambda: not known.staged(), "the upload is over")
            with connection(known.url) as connected:
                connected.sendall(head("GET", "/v1/artifacts/large", line(whose("bob"))))
                assert connected.recv(1000)
            wait_until(is_free, "there is a place again")

    def test_more_requests_than_a_second_may_have_are_put_off(
        self, known: Server, client: httpx.Client, whose: Headers
    ) -> None:
        taken = 0
        while (refused := client.get(f"{known.url}/version", headers=whose("hasty"))).is_success:
            taken += 1
        assert taken >= 100
        assert told(refused) == TOO_MANY
        assert refused.headers["retry-after"] == "1"
        assert client.get(f"{known.url}/version", headers=whose("alice")).is_success
        assert client.get(f"{known.url}/health").is_success


class TestLargestArtifact:
    def test_one_that_is_announced_is_refused_before_its_body(
        self, known: Server, whose: Headers, folder: str
    ) -> None:
        for length in (MAX_SIZE + 1, 10**18, 2**63):
            request = head(
                *("PUT", f"/v1/artifacts/{folder}/a", line(whose("alice"))),
                *(f"Content-Length: {length}", "Expect: 100-continue"),
            )
            assert exchange(known.url, request).status == 413  # and no 100 before it
        assert folder not in str(known.tree())

    def test_one_that_turns_out_to_be_is_refused_on_the_way(
        self, known: Server, client: httpx.Client, whose: Headers, folder: str
    ) -> None:
        request = head("PUT", f"/v1/artifacts/{folder}/a", line(whose("alice")), "Transfer-Encoding: chunked")
        assert flooded(known.url, request).status == 413
        barely = client.put(
            f"{known.native}/{folder}/a", content=iter([bytes(MAX_SIZE), b"x"]), headers=whose("alice")
        )
        assert told(barely) == TOO_LARGE
        wait_until(lambda: not known.staged(), "nothing of the uploads is left")
        assert not (known.root / folder).exists()

    def test_the_largest_itself_is_taken(
        self, known: Server, client: httpx.Client, whose: Headers, folder: str
    ) -> None:
        for content in (bytes(MAX_SIZE), iter([bytes(MAX_SIZE)])):
            stored = client.put(f"{known.native}/{folder}/a", content=content, headers=whose("alice"))
            assert stored.is_success
        client.delete(f"{known.native}/{folder}", headers=whose("alice")).raise_for_status()


class TestLargestJson:
    @pytest.mark.parametrize(("step", "size"), [("create", 1024), ("abort", 1024), ("complete", 1024)])
    @pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
    def test_more_of_it_is_413(
        self, *, known: Server, client: httpx.Client, whose: Headers, step: str, size: int, chunked: bool
    ) -> None:
        headers = whose("alice") | {"Content-Type": "application/json"}
        for length, status in ((size, 400), (size + 1, 413)):
            body = b" " * length
            got = client.post(
                f"{known.mlflow}/mpu/{step}/d", content=iter([body]) if chunked else body, headers=headers
            )
            assert got.status_code == status
