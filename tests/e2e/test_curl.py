"""curl uploads, resumes, reads ranges, revalidates, lists and deletes."""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import Proxy
from tests.e2e.roots import Root
from tests.support.server import Server

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Outcome:
    status: int
    body: bytes
    sent: int
    """Bytes of the request's body."""
    log: str
    """What `--verbose` tells."""

    def answered(self) -> str:
        """The heads of the answers."""
        return "\n".join(line[2:] for line in self.log.splitlines() if line.startswith("< ")).lower()


Curl = Callable[..., Outcome]


@pytest.fixture
def curl(need: Callable[[str], str], tmp_path: Path) -> Curl:
    """Runs curl in `tmp_path`, which must end well."""
    program = need("curl")

    def run(*arguments: str) -> Outcome:
        command = [program, "--disable", "--no-progress-meter", "--verbose", "--max-time", "60"]
        command += ["--write-out", "%{stderr}\n%{http_code} %{size_upload}", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        log = done.stderr.decode()
        assert done.returncode == 0, log
        status, sent = log.rpartition("\n")[2].split()
        return Outcome(int(status), done.stdout, int(sent), log)

    return run


@pytest.fixture(params=["native", "mlflow"])
def url(request: pytest.FixtureRequest, server: Server, folder: str) -> str:
    """Of a directory of this test's own, over one of the two HTTP surfaces."""
    base = server.native if request.param == "native" else f"{server.mlflow}/artifacts"
    return f"{base}/{folder}"


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Larger than what curl sends without asking first."""
    path = tmp_path / "large.bin"
    path.write_bytes(secrets.token_bytes(3 * MEGABYTE + 17))
    return path


def test_a_file_is_uploaded_and_downloaded(curl: Curl, url: str, tmp_path: Path) -> None:
    (tmp_path / "a b.txt").write_text("hello\n")
    assert curl("-T", "a b.txt", f"{url}/a%20b.txt").status in {200, 201}
    assert curl("-o", "copy.txt", f"{url}/a%20b.txt").status == 200
    assert (tmp_path / "copy.txt").read_text() == "hello\n"


def test_the_name_of_the_file_is_taken_for_a_url_with_a_slash(curl: Curl, url: str, large: Path) -> None:
    assert curl("-T", "large.bin", f"{url}/sub/").status in {200, 201}
    assert curl(f"{url}/sub/large.bin").body == large.read_bytes()


def test_the_upload_of_what_comes_from_a_pipe_needs_no_length(curl: Curl, url: str, large: Path) -> None:
    with large.open("rb") as piped:
        command = ["curl", "--disable", "-s", "-T", "-", f"{url}/piped.bin"]
        subprocess.run(command, stdin=piped, check=True, capture_output=True)
    assert curl(f"{url}/piped.bin").body == large.read_bytes()


def test_a_large_upload_is_told_to_continue(curl: Curl, url: str, large: Path) -> None:
    outcome = curl("-T", "large.bin", f"{url}/large.bin")
    assert "> Expect: 100-continue" in outcome.log
    assert outcome.answered().startswith("http/1.1 100 continue")
    assert (outcome.status, outcome.sent) in {(200, large.stat().st_size), (201, large.stat().st_size)}


def test_a_large_upload_that_is_refused_is_never_sent(curl: Curl, read_only: Proxy, large: Path) -> None:
    # Long enough that curl does not lose its patience on a busy machine.
    outcome = curl("--expect100-timeout", "30", "-T", "large.bin", f"{read_only.server.native}/large.bin")
    assert (outcome.status, outcome.sent) == (403, 0)
    assert "100 continue" not in outcome.answered()


def test_half_a_download_is_resumed(curl: Curl, url: str, large: Path, tmp_path: Path) -> None:
    curl("-T", "large.bin", f"{url}/large.bin")
    half = tmp_path / "half.bin"
    half.write_bytes(large.read_bytes()[:MEGABYTE])
    outcome = curl("-C", "-", "-o", "half.bin", f"{url}/large.bin")
    assert outcome.status == 206
    assert f"content-range: bytes {MEGABYTE}-{3 * MEGABYTE + 16}/{3 * MEGABYTE + 17}" in outcome.answered()
    assert half.read_bytes() == large.read_bytes()


@pytest.mark.parametrize(
    ("wanted", "content"),
    [("0-2", b"012"), ("7-", b"789"), ("-2", b"89"), ("3-3", b"3"), ("8-99", b"89")],
)
def test_a_range_is_given(curl: Curl, url: str, tmp_path: Path, wanted: str, content: bytes) -> None:
    (tmp_path / "digits").write_text("0123456789")
    curl("-T", "digits", f"{url}/digits")
    outcome = curl("-r", wanted, f"{url}/digits")
    assert (outcome.status, outcome.body) == (206, content)


def test_a_range_beyond_the_end_is_refused_with_the_size(curl: Curl, url: str, tmp_path: Path) -> None:
    (tmp_path / "digits").write_text("0123456789")
    curl("-T", "digits", f"{url}/digits")
    outcome = curl("-r", "10-", f"{url}/digits")
    assert outcome.status == 416
    assert "content-range: bytes */10" in outcome.answered()


def test_a_head_tells_size_kind_and_version_without_the_body(curl: Curl, url: str, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    curl("-T", "table.csv", f"{url}/table.csv")
    head = curl("-I", f"{url}/table.csv")
    whole = curl(f"{url}/table.csv")
    assert head.status == 200
    assert {"content-length: 8", "content-type: text/plain", "accept-ranges: bytes"} <= lines(head)
    assert "etag" in head.answered()
    own = ("date:", "x-request-id:")
    undated = [{line for line in lines(each) if not line.startswith(own)} for each in (head, whole)]
    assert undated[0] == undated[1]


def lines(outcome: Outcome) -> set[str]:
    return set(outcome.answered().splitlines())


def digest(algorithm: str, content: bytes) -> str:
    return b64encode(hashlib.new(algorithm, content).digest()).decode()


DIGESTS = {
    "Content-MD5": lambda content: digest("md5", content),
    "Content-Digest": lambda content: f"sha-256=:{digest('sha256', content)}:",
    "Repr-Digest": lambda content: f"sha-512=:{digest('sha512', content)}:",
}


@pytest.mark.parametrize("header", DIGESTS)
def test_an_upload_with_its_digest_is_stored(curl: Curl, url: str, large: Path, header: str) -> None:
    announced = f"{header}: {DIGESTS[header](large.read_bytes())}"
    assert curl("-H", announced, "-T", "large.bin", f"{url}/large.bin").status in {200, 201}
    assert curl(f"{url}/large.bin").body == large.read_bytes()


@pytest.mark.parametrize("header", DIGESTS)
def test_an_upload_with_another_digest_leaves_nothing(
    curl: Curl, root: Root, url: str, large: Path, header: str
) -> None:
    announced = f"{header}: {DIGESTS[header](b'something else')}"
    outcome = curl("-H", announced, "-T", "large.bin", f"{url}/sub/large.bin")
    assert outcome.status == 400
    assert header in json.loads(outcome.body)["message"]
    assert curl(f"{url}/sub/large.bin").status == 404
    assert not names_below(root, url.rpartition("/")[2])


def test_the_digest_of_what_was_stored_is_told_to_who_wants_it(curl: Curl, url: str, large: Path) -> None:
    outcome = curl("-H", "Want-Repr-Digest: sha-256=1", "-T", "large.bin", f"{url}/large.bin")
    expected = f"repr-digest: sha-256=:{digest('sha256', large.read_bytes())}:"
    assert expected.lower() in lines(outcome)


def test_an_unchanged_artifact_is_not_sent_again(curl: Curl, url: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first")
    curl("-T", "a.txt", f"{url}/a.txt")
    assert curl("--etag-save", "tag", f"{url}/a.txt").body == b"first"
    unchanged = curl("--etag-compare", "tag", f"{url}/a.txt")
    assert (unchanged.status, unchanged.body) == (304, b"")
    (tmp_path / "a.txt").write_text("other")
    curl("-T", "a.txt", f"{url}/a.txt")
    changed = curl("--etag-compare", "tag", f"{url}/a.txt")
    assert (changed.status, changed.body) == (200, b"other")


def test_an_artifact_is_created_once_only(curl: Curl, url: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "b.txt").write_text("second")
    create = ("-H", "If-None-Match: *")
    assert curl(*create, "-T", "a.txt", f"{url}/a.txt").status in {200, 201}
    assert curl(*create, "-T", "b.txt", f"{url}/a.txt").status == 412
    assert curl(f"{url}/a.txt").body == b"first"


def test_a_directory_is_listed_as_json_and_deleted(
    curl: Curl, server: Server, root: Root, folder: str, tmp_path: Path
) -> None:
    url = f"{server.native}/{folder}"
    (tmp_path / "a.txt").write_text("hello")
    curl("-T", "a.txt", f"{url}/a.txt")
    curl("-T", "a.txt", f"{url}/d/b.txt")
    listed = json.loads(curl(f"{url}/").body)
    told = [(entry["name"], entry["path"], entry["is_dir"], entry["size"]) for entry in listed["entries"]]
    assert told == [("a.txt", f"{folder}/a.txt", False, 5), ("d", f"{folder}/d", True, None)]
    assert f"etag: {listed['entries'][0]['etag']}" in lines(curl("-I", f"{url}/a.txt"))

    assert curl("-X", "DELETE", f"{url}/a.txt").status == 204
    assert curl(f"{url}/a.txt").status == 404
    assert [entry["name"] for entry in json.loads(curl(f"{url}/").body)["entries"]] == ["d"]
    assert curl("-X", "DELETE", f"{url}/").status == 204
    assert json.loads(curl(f"{url}/").body)["entries"] == []
    assert not names_below(root, folder)


def names_below(root: Root, folder: str) -> list[str]:
    """What is left of the directory, and the directory itself."""
    return [name for name in root.names() if name.split("/")[0] == folder]
