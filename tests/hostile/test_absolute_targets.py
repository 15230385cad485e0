"""25: a whole URL as request target, which names the host instead of the Host header (RFC 9112, 3.2.2)."""

from __future__ import annotations

from tests.hostile.asking import MALFORMED, MLFLOW, NATIVE, Asker, code
from tests.support.bystander import unchanged

MISDIRECTED = (421, "INVALID_PARAMETER_VALUE")
EMPTY = "Content-Length: 0"


def put(asker: Asker, target: str, *hosts: str, version: str = "1.1") -> bytes:
    """An upload with exactly these Host headers, after which the connection ends."""
    lines = [f"PUT {target} HTTP/{version}", *(f"Host: {host}" for host in hosts), *asker.credential]
    return "\r\n".join([*lines, EMPTY, "Connection: close", "", ""]).encode("latin-1")


def test_25_with_the_right_host_it_is_a_target_like_others(asker: Asker, folder: str) -> None:
    authority = asker.server.url.removeprefix("http://")
    for number, base in enumerate(
        (
            "http://127.0.0.1",
            f"http://{authority}",
            "HTTP://127.0.0.1",
            "https://127.0.0.1",
            "http://127.0.0.1:1",
        )
    ):
        path = f"{NATIVE}{folder}/{number}"
        stored = asker.ask("PUT", base + path, body=b"data")
        assert (stored.status, stored.headers["location"]) == (201, path), base
        assert asker.ask("GET", base + path).body == asker.ask("GET", path).body == b"data", base
        assert asker.ask("DELETE", base + path).status == 204, base
    asker.ask("PUT", f"{NATIVE}{folder}/a")
    listing = f"{MLFLOW}/artifacts?path={folder}"
    assert asker.ask("GET", f"http://127.0.0.1{listing}").body == asker.ask("GET", listing).body != b""
    for bare in ("http://127.0.0.1", "http://127.0.0.1?x", "http://127.0.0.1/"):
        answer = asker.ask("GET", bare)
        assert (answer.status, answer.headers["location"]) == (307, "ui"), bare


def test_25_its_host_counts_and_not_the_header(asker: Asker, folder: str) -> None:
    target = f"{NATIVE}{folder}/a"
    for host in ("evil.example", "", "[", "127.0.0.1 evil"):
        assert asker.last(put(asker, f"http://127.0.0.1{target}", host)).status in {200, 201}, host
    with unchanged(asker.server):
        for host in ("evil.example", "127.0.0.1.evil.example", "evil.example:80", "[::1]", "127.0.0.1:x"):
            refused = asker.last(put(asker, f"http://{host}{target}", "127.0.0.1"))
            assert code(refused) in {MISDIRECTED, MALFORMED}, host
    # HTTP/1.0 has no need of the header.
    assert asker.last(put(asker, f"http://127.0.0.1{target}", version="1.0")).status == 200
    with unchanged(asker.server):
        assert code(asker.last(put(asker, f"http://evil.example{target}", version="1.0"))) == MISDIRECTED


def test_25_it_does_not_stand_for_the_header_and_names_one_host(asker: Asker) -> None:
    target = f"http://127.0.0.1{NATIVE}a"
    with unchanged(asker.server):
        for hosts in ((), ("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "evil.example")):
            assert code(asker.last(put(asker, target, *hosts))) == MALFORMED, hosts
        for authority in (
            *("", ":", ":80", "@", "user@127.0.0.1", "user:secret@127.0.0.1", "127.0.0.1@evil.example"),
            *(
                "evil.example@127.0.0.1",
                ":@127.0.0.1",
                "a@b@127.0.0.1",
                "%40127.0.0.1",
                "127.0.0.1,evil.example",
            ),
        ):
            refused = asker.last(put(asker, f"http://{authority}{NATIVE}a", "127.0.0.1"))
            assert code(refused) in {MALFORMED, MISDIRECTED}, authority
            assert b"secret" not in refused.body
        assert "user:secret" not in asker.server.log()


def test_25_other_targets_are_neither_a_path_nor_such_a_url(asker: Asker) -> None:
    with unchanged(asker.server):
        for target in (
            f"ftp://127.0.0.1{NATIVE}a",
            f"http:/127.0.0.1{NATIVE}a",
            f"http:{NATIVE}a",
            f"127.0.0.1{NATIVE}a",
            "v1/artifacts/a",
            f"://127.0.0.1{NATIVE}a",
            f"?{NATIVE}a",
        ):
            assert code(asker.last(put(asker, target, "127.0.0.1"))) == MALFORMED, target
        for target in (
            f"//127.0.0.1{NATIVE}a",
            f"/http://127.0.0.1{NATIVE}a",
            f"http://127.0.0.1/{NATIVE}a",
            "*",
        ):
            assert code(asker.last(put(asker, target, "127.0.0.1"))) == (404, "ENDPOINT_NOT_FOUND"), target
