"""Files sent to a directory by a form, as browsers, curl and programs send them."""

from __future__ import annotations

import hashlib
import subprocess
from base64 import b64encode
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from app.api.folders.forms import FormReader, boundary_of
from app.archives.formats import MemberBegins, MemberData, MemberEnds
from app.errors import InvalidRequest
from tests.support.access import bearer, token_stanza
from tests.support.archives import BOUNDARY, FORM, file_part, form, part
from tests.support.bystander import unchanged
from tests.support.guarded import DENIED, audited, guarded, told
from tests.support.presigning import Place
from tests.support.server import Server

INVALID = (400, "INVALID_PARAMETER_VALUE")
CONFLICT = (409, "RESOURCE_ALREADY_EXISTS")
UNFIT = (412, "INVALID_STATE")


@pytest.fixture
def url(over: Server, folder: str) -> str:
    return f"{over.native}/{folder}/"


class TestFiles:
    def test_each_is_an_artifact_and_told_of(self, url: str, client: httpx.Client, folder: str) -> None:
        files = {"a.txt": b"one", "sub/b.bin": bytes(range(256)) * 5000, "sub/ünï & co": b"", "c": b"--b--"}
        sent = client.post(url, files=[("file", (name, content)) for name, content in files.items()])
        assert sent.status_code == 201
        assert [each["path"] for each in sent.json()["files"]] == [f"{folder}/{name}" for name in files]
        for each, (name, content) in zip(sent.json()["files"], files.items(), strict=True):
            got = client.get(url + name)
            assert got.content == content
            assert each == {
                "path": f"{folder}/{name}",
                "size": len(content),
                "etag": got.headers["etag"],
                "created": True,
            }
        again = client.post(url, files={"file": ("a.txt", b"two")})
        assert again.json()["files"][0]["created"] is False
        assert client.get(f"{url}a.txt").content == b"two"

    def test_curl_sends_them(
        self, server: Server, folder: str, tmp_path: Path, need: Callable[[str], str]
    ) -> None:
        name = 'with "quotes" and ; semicolon.txt'
        (tmp_path / name).write_bytes(b"quoted")
        (tmp_path / "plain").write_bytes(b"data")
        quoted = name.replace('"', '\\"')
        command = [need("curl"), "--disable", "-sS", "-F", f'file=@"{quoted}"']
        command += ["-F", "other=@plain;filename=sub/x;type=text/html", "-F", "comment=none"]
        url = f"{server.native}/{folder}/"
        sent = subprocess.run([*command, url], cwd=tmp_path, check=True, capture_output=True, text=True)
        assert '"files":[' in sent.stdout
        assert (server.root / folder / name).read_bytes() == b"quoted"
        assert (server.root / folder / "sub" / "x").read_bytes() == b"data"

    def test_fields_and_inputs_without_a_file_are_ignored(self, url: str, client: httpx.Client) -> None:
        field = part('form-data; name="comment"', b"not a file")
        body = form(field, file_part("", b""), file_part("a", b"data"), field)
        sent = client.post(url, content=body, headers=FORM)
        assert [each["size"] for each in sent.json()["files"]] == [4]

    def test_the_root_takes_them_too(self, server: Server, client: httpx.Client, folder: str) -> None:
        sent = client.post(f"{server.native}/", files={"file": (f"{folder}/a", b"data")})
        assert sent.json()["files"][0]["path"] == f"{folder}/a"
        assert sent.headers["location"] == "/v1/artifacts/"

    def test_digests_are_of_the_form(self, url: str, client: httpx.Client, watched: Server | Place) -> None:
        body = form(file_part("a"))
        digests = (hashlib.md5(of, usedforsecurity=False).digest() for of in (body, b""))
        right, wrong = (b64encode(digest).decode() for digest in digests)
        with unchanged(watched):
            refused = client.post(url, content=body, headers=FORM | {"Content-MD5": wrong})
            assert told(refused) == INVALID
        assert client.post(url, content=body, headers=FORM | {"Content-MD5": right}).status_code == 201


class TestFailuresOfSingleFiles:
    def test_others_are_stored_and_each_is_told_of(self, url: str, client: httpx.Client, folder: str) -> None:
        client.put(f"{url}directory/a", content=b"there").raise_for_status()
        body = form(file_part("first"), file_part("directory"), file_part("last"))
        sent = client.post(url, content=body, headers=FORM)
        assert told(sent) == CONFLICT
        first, refused, last = sent.json()["files"]
        assert (first["path"], first["created"]) == (f"{folder}/first", True)
        assert (last["path"], last["created"]) == (f"{folder}/last", True)
        assert refused.keys() == {"path", "error_code", "message"}
        assert (refused["path"], refused["error_code"]) == (f"{folder}/directory", CONFLICT[1])
        assert refused["message"] == sent.json()["message"]
        assert client.get(f"{url}last").content == b"x"
        assert client.get(f"{url}directory/a").content == b"there"

    def test_create_only_is_for_each(self, url: str, client: httpx.Client) -> None:
        client.put(f"{url}a", content=b"there").raise_for_status()
        headers = FORM | {"If-None-Match": "*"}
        sent = client.post(url, content=form(file_part("a"), file_part("b")), headers=headers)
        assert told(sent) == UNFIT
        assert [each.get("error_code") for each in sent.json()["files"]] == [UNFIT[1], None]
        assert client.get(f"{url}a").content == b"there"
        assert client.get(f"{url}b").content == b"x"


class TestWhoMaySend:
    def test_where_one_may_not_be_written_none_is(self, client: httpx.Client, tmp_path: Path) -> None:
        token, stanza = token_stanza("writer", "write:d/", deny=["write:d/locked"])
        log = tmp_path / "audit.jsonl"
        with guarded(tmp_path / "server", stanza, flags=("--audit-log", str(log))) as server:

            def post(directory: str, *names: str) -> httpx.Response:
                body = form(*map(file_part, names))
                headers = FORM | bearer(token)
                return client.post(f"{server.native}/{directory}", content=body, headers=headers)

            with unchanged(server):
                assert told(post("d/", "a", "locked/b")) == DENIED
                assert told(post("e/", "a")) == DENIED
            assert post("", "d/a").status_code == 201
        stored, last = audited(log)[-2:]
        assert (stored["event"], stored["paths"]) == ("stored", ["d/a"])
        assert (last["action"], last["path"], last["status"]) == ("write", "", 201)

    @pytest.mark.parametrize(
        "origin", ["https://evil.example.com", "null", "http://127.0.0.1.evil.example.com"]
    )
    def test_no_page_of_another_site(
        self, server: Server, client: httpx.Client, folder: str, origin: str
    ) -> None:
        with unchanged(server):
            headers = FORM | {"Origin": origin}
            sent = client.post(f"{server.native}/{folder}/", content=form(file_part("a")), headers=headers)
            assert told(sent) == DENIED
        own = FORM | {"Origin": server.url}
        sent = client.post(f"{server.native}/{folder}/", content=form(file_part("a")), headers=own)
        assert sent.status_code == 201


def read(body: bytes, *cuts: int) -> list[tuple[str, bytes]]:
    """The files in a form that comes in pieces."""
    reader, found = FormReader(BOUNDARY.encode()), list[tuple[str, bytes]]()
    edges = [0, *sorted(cuts), len(body)]
    for start, end in pairwise(edges):
        for event in reader.feed(body[start:end]):
            if isinstance(event, MemberBegins):
                name, content = event.name, b""
            elif isinstance(event, MemberData):
                content += event.data
            else:
                assert isinstance(event, MemberEnds)
                found.append((name, content))
    reader.close()
    return found


class TestReading:
    @given(st.data())
    def test_it_is_the_same_in_whatever_pieces_it_comes(self, data: st.DataObject) -> None:
        tricky = st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--", b"\r\n--", b"b", b"x", b"\r\n--b-"]))
        contents = data.draw(st.lists(tricky.map(b"".join).filter(lambda some: b"\r\n--b" not in some)))
        body = form(*(file_part(str(number), content) for number, content in enumerate(contents)))
        body = data.draw(st.sampled_from([b"", b"\r\n", b"\n\r\n"])) + body + data.draw(tricky.map(b"".join))
        cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=8))
        expected = [(str(number), content) for number, content in enumerate(contents)]
        assert read(body, *cuts) == expected
        assert read(body, *range(1, len(body))) == expected

    @pytest.mark.parametrize(
        ("sent", "name"),
        [
            ('filename="a b"', "a b"),
            ("filename=plain", "plain"),
            ('FileName="a"', "a"),
            ('filename="a%22b%0D%0Ac%0d"', 'a"b\r\nc\r'),
            ('filename="100%25 %41"', "100%25 %41"),
            ('filename="a\\"b"', 'a"b'),
            ('filename="a\\b"', "a\\b"),
            ('filename="a;b=c"', "a;b=c"),
            ('filename="ünï"', "ünï"),
            ('filename = "a" ', "a"),
        ],
    )
    def test_names_are_what_browsers_and_curl_mean(self, sent: str, name: str) -> None:
        assert read(form(part(f'form-data; name="file"; {sent}'))) == [(name, b"x")]

    @pytest.mark.parametrize(
        ("kind", "boundary"),
        [
            ("multipart/form-data; boundary=b", b"b"),
            ("Multipart/Form-Data;charset=utf-8; Boundary=b", b"b"),
            ('multipart/form-data; boundary="a b"', b"a b"),
            ("multipart/form-data; boundary=----WebKitFormBoundaryAaBb01", b"----WebKitFormBoundaryAaBb01"),
            ("multipart/form-data; boundary=" + "b" * 70, b"b" * 70),
        ],
    )
    def test_boundaries_are_those_of_rfc_2046(self, kind: str, boundary: bytes) -> None:
        assert boundary_of(Headers({"Content-Type": kind})) == boundary

    @pytest.mark.parametrize(
        "given", ["b" * 71, '""', '"b "', "b;b", "ü", '"a', '"a\\""', "b; boundary=c", ""]
    )
    def test_other_boundaries_are_refused(self, given: str) -> None:
        kind = f"multipart/form-data; boundary={given}"
        with pytest.raises(InvalidRequest, match=r"boundary|parameter"):
            boundary_of(Headers(raw=[(b"content-type", kind.encode())]))
