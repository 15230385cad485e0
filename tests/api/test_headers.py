"""The headers of an artifact's response, compared with MLflow's own and read back by others."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.mime_type_utils import _guess_mime_type

from app.api.headers import artifact_headers, content_disposition, validators
from app.media_types import media_type
from app.paths import ArtifactPath
from app.storage.entry import Entry
from app.storage.ranges import Span

MODIFIED = datetime(2024, 5, 17, 12, 30, 45, 987_654, tzinfo=UTC)


def entry(name: str = "a.txt", size: int = 10, modified: datetime | None = MODIFIED) -> Entry:
    return Entry(ArtifactPath.parse(f"models/{name}"), size=size, modified=modified, etag="v1")


@pytest.fixture
def _no_mime_types_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """MLflow asks `mimetypes`, which adds what /etc/mime.types and the like say on this machine.

    Ours must not depend on it, so MLflow is asked without those files.
    """
    with monkeypatch.context() as patched:
        patched.setattr(mimetypes, "knownfiles", [])
        mimetypes.init()
        yield
    mimetypes.init()


EXTENSIONS = """
    txt log err cfg conf cnf cf ini properties prop hocon toml yaml yml xml json js py py3 csv tsv
    md rst ipynb MLmodel MLproject mlmodel mlproject html htm svg svgz css mjs pdf png jpg jpeg gif
    webp ico bmp tiff avif mp3 mp4 wav webm zip gz tgz tar tar.gz tar.xz bz2 xz whl jar parquet npy
    npz pkl pickle joblib h5 hdf5 pt pth onnx pb safetensors bin ckpt msgpack arrow feather avro
    sqlite db doc docx xls xlsx ppt ps rtf c h sh bat ts tex wasm webmanifest vtt n3 rdf xsl wsdl
    eml mht exe dll so o a pyc swf swp unknown é 日本 😀
"""
BARE_NAMES = ["Makefile", "Dockerfile", "LICENSE", *EXTENSIONS.split()]
NAMES = [
    *(f"a.{extension}" for extension in EXTENSIONS.split()),
    *(f"a.{extension.upper()}" for extension in ("txt", "json", "html", "png", "svg", "pdf", "csv")),
    *BARE_NAMES,
    *(".txt", ".json", ".html", ".gitignore", ".png", "..txt", "...", "a.", "a..", "a..json", "a.b.json"),
    *("a.json.", "a.txt.gz", "a.html.gz", "a.csv.bz2", "a.json.html", "a.html.json", "a b.csv", " .json"),
    *("a. json", "a:b.html", "http:a.png"),
    *("a?b.png", "a#b.html"),
    *("a;b.html", "é.json", "日本語.html", "a%20.png", "a\\b.html", "\u202elmth.a", '"a".html', "a=b.svg"),
]


@pytest.mark.usefixtures("_no_mime_types_of_this_machine")
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_the_content_type_is_the_one_that_mlflow_gives(name: str) -> None:
    assert media_type(name) == _guess_mime_type(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.json", "text/plain"),
        ("MLmodel", "text/plain"),
        ("model.html", "text/html"),
        ("plot.svg", "image/svg+xml"),
        ("plot.png", "image/png"),
        ("weights.bin", "application/octet-stream"),
        ("weights.safetensors", "application/octet-stream"),
        ("nothing", "application/octet-stream"),
        # For MLflow a URL, which would have an image be text, and bytes be whatever their name says.
        ("data:,plot.svg", "image/svg+xml"),
        ("data:text/html,weights.bin", "application/octet-stream"),
    ],
)
def test_the_content_type_is_no_matter_of_the_machine(
    name: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for extension in (".json", ".html", ".svg", ".png", ".bin", ".safetensors"):
        monkeypatch.setitem(mimetypes.types_map, extension, "application/x-machine")
    assert media_type(name) == expected


@pytest.mark.parametrize("name", ["a.txt", "model-1_final.tar.gz", "!#$&+^_`|~.x", "it's", "*"])
def test_a_token_stands_without_quotes(name: str) -> None:
    assert content_disposition(name) == f"attachment; filename={name}"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a b.txt", '"a b.txt"'),
        (" a ", '" a "'),
        ("a;b", '"a;b"'),
        ("a,b=c", '"a,b=c"'),
        ('say "hi".txt', r'"say \"hi\".txt"'),
        ("back\\slash", r'"back\\slash"'),
        ('\\"', r'"\\\""'),
        ("a(1)@[x]{y}<z>?.txt", '"a(1)@[x]{y}<z>?.txt"'),
    ],
)
def test_ascii_that_is_no_token_is_quoted(name: str, written: str) -> None:
    assert content_disposition(name) == f"attachment; filename={written}"


@pytest.mark.parametrize(
    ("name", "plain", "extended"),
    [
        ("é.txt", '"_.txt"', "%C3%A9.txt"),
        ("a%20b.txt", '"a%20b.txt"', "a%2520b.txt"),
        ("日本 語.csv", '"__ _.csv"', "%E6%97%A5%E6%9C%AC%20%E8%AA%9E.csv"),
        ('"é";\\', r'"\"_\";\\"', "%22%C3%A9%22%3B%5C"),
        ("é%20'*()", '"_%20\'*()"', "%C3%A9%2520%27%2A%28%29"),
        ("😀", '"_"', "%F0%9F%98%80"),
        ("\x85\u202e", '"__"', "%C2%85%E2%80%AE"),
    ],
    ids=ascii,
)
def test_a_name_beyond_ascii_or_with_what_looks_escaped_comes_in_both_forms(
    name: str, plain: str, extended: str
) -> None:
    assert content_disposition(name) == f"attachment; filename={plain}; filename*=UTF-8''{extended}"


def read_back(header: str) -> str:
    """The file name as the standard library understands it; the extended form comes first."""
    message = Message()
    message["Content-Disposition"] = header
    assert message.get_content_disposition() == "attachment"
    found: dict[bool, str] = {}
    # The library gives a tuple for an extended value, of which its type information knows nothing.
    parameters: list[tuple[str, Any]] = [*message.get_params([], header="content-disposition")]
    for name, value in parameters[1:]:
        assert name == "filename"
        if isinstance(value, tuple):
            charset, language, text = value
            assert (charset, language) == ("UTF-8", "")
            found[True] = text.encode("latin-1").decode("utf-8")
        else:
            found[False] = value
    return found.get(True, found.get(False, ""))


@pytest.mark.parametrize(
    "name",
    [
        *("a.txt", "a b.txt", " a ", "a;b.txt", "a; filename=x", 'say "hi"', "back\\slash", 'a\\"b', "a,b=c"),
        *("é.txt", "日本 語.csv", "😀", "é; filename=x", 'é"\\;', "100%.txt", "a%20b", "é%20", "it's", "é'*"),
        *("UTF-8''x", "é\u202e", "\x85", "filename*=x", "a" * 255),
    ],
    ids=ascii,
)
def test_the_file_name_is_read_back_by_another_parser(name: str) -> None:
    assert read_back(content_disposition(name)) == name


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1))
def test_no_name_breaks_out_of_its_header(name: str) -> None:
    header = content_disposition(name)
    assert header.isascii()
    assert header.isprintable()
    rest = header.removeprefix("attachment; filename=")
    assert rest != header
    if rest.startswith('"'):
        # RFC 9110, section 5.6.4: up to the first quote that has no backslash before it.
        value, position = "", 1
        while rest[position] != '"':
            position += rest[position] == "\\"
            value += rest[position]
            position += 1
        assert value == "".join(c if c.isascii() else "_" for c in name)
        rest = rest[position + 1 :]
        assert not rest if name.isascii() else rest.startswith("; filename*=UTF-8''")
        assert not set(rest[2:]) & set('"; \\,()')
    else:
        assert rest == name
        assert not set(rest) & set('"; \\,=()<>@:/[]?{}')


class TestArtifactHeaders:
    def test_a_whole_artifact_has_them_all(self) -> None:
        assert artifact_headers(entry("plot 1.svg")) == {
            "Content-Type": "image/svg+xml",
            "Content-Length": "10",
            "Content-Disposition": 'attachment; filename="plot 1.svg"',
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "Accept-Ranges": "bytes",
            "ETag": '"v1"',
            "Cache-Control": "no-cache",
            "Last-Modified": "Fri, 17 May 2024 12:30:45 GMT",
        }

    @pytest.mark.parametrize(
        ("span", "length", "content_range"),
        [
            (Span(0, 1), "1", "bytes 0-0/10"),
            (Span(2, 6), "4", "bytes 2-5/10"),
            (Span(0, 10), "10", "bytes 0-9/10"),
        ],
    )
    def test_a_part_says_which_it_is(self, span: Span, length: str, content_range: str) -> None:
        headers = artifact_headers(entry(), span)
        assert headers["Content-Length"] == length
        assert headers["Content-Range"] == content_range

    def test_an_empty_artifact_has_a_length(self) -> None:
        assert artifact_headers(entry(size=0))["Content-Length"] == "0"

    @pytest.mark.parametrize("name", ["a.html", "a.svg", "a.xml", "a.html.gz", "a.xhtml", "a.js", "a"])
    def test_a_hostile_page_is_saved_and_may_run_nothing(self, name: str) -> None:
        headers = artifact_headers(entry(name))
        assert headers["Content-Disposition"].startswith("attachment;")
        assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"


class TestValidators:
    def test_they_are_the_tag_and_the_time(self) -> None:
        headers = validators(entry())
        assert headers["ETag"] == '"v1"'
        assert parsedate_to_datetime(headers["Last-Modified"]) == MODIFIED.replace(microsecond=0)

    @pytest.mark.parametrize("ahead", [timedelta(seconds=2), timedelta(hours=1), timedelta(days=4000)])
    def test_the_last_modification_is_never_in_the_future(self, ahead: timedelta) -> None:
        before = datetime.now(UTC).replace(microsecond=0)
        shown = parsedate_to_datetime(validators(entry(modified=datetime.now(UTC) + ahead))["Last-Modified"])
        assert before <= shown <= datetime.now(UTC)

    def test_an_unknown_time_is_not_made_up(self) -> None:
        assert "Last-Modified" not in validators(entry(modified=None))
