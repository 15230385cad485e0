"""What no artifact may be called, what is kept to the byte, and how much a path holds."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote, unquote

import pytest

from app.errors import InvalidPath
from app.paths import MAX_PATH_BYTES, MAX_SEGMENT_BYTES, MAX_SEGMENTS, ArtifactPath
from tests.support.path_readers import CHILD, DEEPER_CHILD, FROM_TEXT, FROM_URL, ROOT, Reader

EVERY = FROM_URL | FROM_TEXT | CHILD | DEEPER_CHILD


def readers(chosen: dict[str, Reader]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("read", list(chosen.values()), ids=list(chosen))


# Class 1 of the paths that are refused.
PARENTS = [
    *("..", "../a", "a/../b", "a/b/..", "../../etc/passwd", "a/../../b"),
    *("%2e%2e", "%2E%2E/a", "a/%2e%2e/b", ".%2e", "%2e./a", "a/.%2E"),
    *("%252e%252e%252f", "%252e%252e%252fa", "a/%252e%252e"),
    *("%25252e%25252e/a", "%2525252e%2525252e%2525252fa"),
    *("..%2f", "..%2fa", "a%2f..%2fb", "a/..%252fb"),
    *("..\\", "..\\a", "a\\..\\b", "a\\..", "%5c..", "%5c..%5ca", "..%5ca", "a%5C..", "a%255c..%255cb"),
    *("..;", "..;/", "..;/a", "a/..;/b", "..;x=1/a", "%2e%2e;/a", "..%3b/a", "..%253b/a", "a\\..;\\b"),
]
# Class 2.
DOTS = [
    *(".", "./a", "a/./b", "a/.", "%2e", "%2e/a", "a/%2E/b", "a/%252e/b"),
    *(".;/a", "a/.;x", ".\\a", "a%5c.%5cb"),
]
EMPTY_SEGMENTS = [
    *("//", "a//b", "a//", "a///b", "a%2F%2Fb", "a/%2fb", "a/%252fb", "a\\\\b", "a%5c%5cb", "a\\/b"),
    *("\\", "a\\", "a%5C", "a%255c", "a%252f"),
]
LEADING_SLASHES = ["/", "/a", "//etc", "/etc/passwd", "%2Fetc", "%2f", "%252Fetc", "\\a", "%5Ca", "%255ca"]
# Class 7.
SCHEMES = [
    *("file:", "file:a", "file:/a", "file:///etc/passwd", "FILE:a", "file%3Aa", "file%253aa", "file:\\a"),
    *("s3://bucket/key", "s3:/key", "s3%3A%2F%2Fbucket%2Fkey", "http://host/a", "mlflow-artifacts:/a"),
    *("C:/", "C:/a", "c:\\a", "C:", "C%3A/a", "C%3a%5Ca", "z%253a/a"),
    *("\\\\server\\share", "//server/share", "%5C%5Cserver%5Cshare", "\\\\?\\C:\\a"),
]
# Class 8.
OWN_NAMES = [
    *(".artifact-proxy", ".artifact-proxy/staging/a", "a/.artifact-proxy/b", "a/.artifact-proxy"),
    *(".ARTIFACT-PROXY/a", ".Artifact-Proxy", ".artifact-proxy-tmp"),
    *(".artifact-proxy.lock", ".artifact-proxy;x"),
    *("%2eartifact-proxy", "%252eartifact-proxy/a", "a\\.artifact-proxy\\b", "a%2f.artifact%2dproxy"),
]


@pytest.mark.parametrize("text", PARENTS)
@readers(EVERY)
def test_a_parent_directory_in_any_disguise_is_refused(read: Reader, text: str) -> None:
    with pytest.raises(InvalidPath):
        read(text)


@pytest.mark.parametrize("text", DOTS)
@readers(EVERY)
def test_the_directory_itself_as_a_segment_is_refused(read: Reader, text: str) -> None:
    with pytest.raises(InvalidPath):
        read(text)


@pytest.mark.parametrize("text", [*EMPTY_SEGMENTS, *LEADING_SLASHES])
@readers(EVERY)
def test_an_empty_segment_anywhere_is_refused(read: Reader, text: str) -> None:
    with pytest.raises(InvalidPath):
        read(text)


@pytest.mark.parametrize("text", SCHEMES)
@readers(FROM_URL | FROM_TEXT | CHILD)
def test_a_url_a_drive_or_a_share_is_refused(read: Reader, text: str) -> None:
    with pytest.raises(InvalidPath):
        read(text)


@pytest.mark.parametrize("text", OWN_NAMES)
@readers(EVERY)
def test_the_names_of_the_server_itself_are_refused(read: Reader, text: str) -> None:
    with pytest.raises(InvalidPath):
        read(text)


# Class 3: what names a directory is no name of an artifact.
@pytest.mark.parametrize("text", ["", "a/", "a/b/", "a%2F", "a/b%2f"])
def test_an_artifact_has_a_name_and_no_trailing_slash(text: str) -> None:
    with pytest.raises(InvalidPath):
        ArtifactPath.from_url(text)
    with pytest.raises(InvalidPath):
        ArtifactPath.parse(unquote(text))


@pytest.mark.parametrize(
    ("text", "segments"), [("", ()), ("a", ("a",)), ("a/", ("a",)), ("a/b/", ("a", "b")), ("a/b", ("a", "b"))]
)
@readers(
    {"directory_from_url": ArtifactPath.directory_from_url, "parse_directory": ArtifactPath.parse_directory}
)
def test_a_directory_may_be_the_root_and_end_with_one_slash(
    read: Reader, text: str, segments: tuple[str, ...]
) -> None:
    directory = read(text)
    assert directory.segments == segments
    assert directory.is_root is not bool(segments)


CONTROLS = [chr(code) for code in range(0x20)] + ["\x7f"]


# Class 4, raw and encoded once or more.
@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
@readers(EVERY)
def test_a_control_character_is_refused(read: Reader, control: str) -> None:
    once = quote(control)
    assert once == f"%{ord(control):02X}"
    for written in (control, once, quote(once), quote(quote(once))):
        for text in (written, f"a{written}", f"{written}a", f"a{written}b", f".{written}."):
            with pytest.raises(InvalidPath):
                read(text)


# Class 5.
@pytest.mark.parametrize(
    "raw",
    [
        *("%", "%2", "%zz", "a%", "a%2", "a%zzb", "%%41", "%4", "%-1", "% 1", "%+1", "%u0041", "%2%65"),
        *("%c0%ae", "%c0%ae%c0%ae/a", "%e0%80%ae", "%f0%80%80%ae", "%c0%af", "%c1%9c", "%c0%80"),
        *("%ed%a0%80", "%ed%bf%bf", "%ed%a0%bd%ed%b8%80", "%f4%90%80%80", "%f8%88%80%80%80"),
        *("%80", "%ff", "a%e9", "%c3", "%c3%28", "%e2%82", "%c3/%a9"),
        *("\xe9", "a\xff", "\xc3\xa9", "\x85", "日本", "\u2025"),
    ],
    ids=ascii,
)
@readers(FROM_URL)
def test_what_is_not_strict_percent_encoded_utf8_is_refused(read: Reader, raw: str) -> None:
    with pytest.raises(InvalidPath):
        read(raw)


@pytest.mark.parametrize("text", ["%c0%ae", "a%c0%afb", "%ed%a0%80", "%ff", "%25ff", "%e2%82"])
@readers(EVERY)
def test_a_name_that_is_not_utf8_once_decoded_further_is_refused(read: Reader, text: str) -> None:
    with pytest.raises(InvalidPath):
        read(text)


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\udc80/a", "\ud83d\ude00"], ids=ascii)
@readers(EVERY)
def test_a_lone_surrogate_is_refused(read: Reader, text: str) -> None:
    with pytest.raises(InvalidPath):
        read(text)


# Class 6.
@pytest.mark.parametrize("unit", ["a", "é", "日", "😀"])
def test_a_segment_holds_255_bytes_and_no_more(unit: str) -> None:
    width = len(unit.encode())
    longest = unit * (MAX_SEGMENT_BYTES // width) + "x" * (MAX_SEGMENT_BYTES % width)
    assert MAX_SEGMENT_BYTES == len(longest.encode()) == 255
    assert ArtifactPath.from_url(quote(f"a/{longest}/b")).segments == ("a", longest, "b")
    assert (ROOT / longest).name == longest
    for read in (ArtifactPath.parse, ArtifactPath.parse_directory, ROOT.__truediv__):
        with pytest.raises(InvalidPath, match="255"):
            read(longest + "x")
    with pytest.raises(InvalidPath, match="255"):
        ArtifactPath.from_url(quote(f"a/{longest}x/b"))


def test_a_path_holds_1024_bytes_and_no_more() -> None:
    longest = "/".join(["é" * 102] * 4 + ["x" * 204])
    assert MAX_PATH_BYTES == len(longest.encode()) == 1024
    assert str(ArtifactPath.from_url(quote(longest))) == longest
    assert str(ArtifactPath.parse_directory(f"{longest}/")) == longest
    with pytest.raises(InvalidPath, match="1024"):
        ArtifactPath.from_url(quote(f"{longest}x"))
    with pytest.raises(InvalidPath, match="1024"):
        ArtifactPath.parse_directory(longest) / "x"


def test_a_path_has_64_segments_and_no_more() -> None:
    deepest = "/".join(["d"] * MAX_SEGMENTS)
    assert MAX_SEGMENTS == len(ArtifactPath.from_url(deepest).segments) == 64
    with pytest.raises(InvalidPath, match="64"):
        ArtifactPath.from_url(f"{deepest}/d")
    with pytest.raises(InvalidPath, match="64"):
        ArtifactPath.parse(deepest) / "d"


LEGAL_NAMES = [
    *(unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")),
    *("\u05d0\u05d1\u05d2", "\u202egnp.exe", "a\u200bb", "\u200d", "\ufeff", "\u2025"),
    *("\uff0e\uff0e", "\u2215"),
    *("CON", "NUL", "con", "COM1.txt", "a.", "a ", " a", " ", "a:b", "C:x", "s3:x", "A", "a"),
    *("%20", "a%20b", "100%", "%", "%zz", "%2", "%25", "%C3%A9"),
    *("a b", "+", "&", ";", "?", "'", '"', "#", "a;b", ";x", "a?b#c", "=", "*", "|", "<", ">", "$", "`"),
    *("!", ","),
    *("😀", "日本語.json", "\U0010ffff", "\x85", "\x9f", "\xa0", "\u2028"),
    *("...", "....", "..a", "a..", "a..b", ".hidden", "~", "~root", "-rf", "@", "[a]", "{b}"),
    *(".artifact-prox", "artifact-proxy", "a.artifact-proxy", "file", "files:x", "back\\slash"),
    *("é" * 127 + "x", "x" * 255, "😀" * 63),
]


@pytest.mark.parametrize("name", LEGAL_NAMES, ids=ascii)
def test_a_legal_name_is_kept_exactly(name: str) -> None:
    everywhere = [
        ArtifactPath.parse(name),
        ArtifactPath.parse_directory(name),
        ArtifactPath.parse_directory(f"{name}/"),
        ArtifactPath.from_url(quote(name, safe="")),
        ArtifactPath.directory_from_url(quote(name, safe="") + "/"),
        ROOT / name,
    ]
    for path in everywhere:
        assert path.segments == (name,)
        assert (path.name, str(path)) == (name, name)
        assert ArtifactPath.from_url(path.url) == path
    assert ArtifactPath.parse(f"d/{name}/e").segments == ("d", name, "e")
    assert (ArtifactPath.parse("d") / name).segments == ("d", name)


def test_names_that_look_alike_are_different_artifacts() -> None:
    paths = {ArtifactPath.parse(name) for name in LEGAL_NAMES}
    assert len(paths) == len(set(LEGAL_NAMES)) == len(LEGAL_NAMES)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("a%2520b", "a%20b"),
        ("a%20b", "a b"),
        ("a+b", "a+b"),
        ("a%2Bb", "a+b"),
        ("%61", "a"),
        ("%25", "%"),
        ("a#b", "a#b"),
    ],
)
def test_a_url_is_decoded_exactly_once(raw: str, name: str) -> None:
    assert ArtifactPath.from_url(raw).segments == (name,)


def test_a_scheme_is_only_one_at_the_beginning() -> None:
    assert ArtifactPath.parse("a/C:/b").segments == ("a", "C:", "b")


def test_a_child_is_one_name() -> None:
    assert (ROOT / "a" / "b").segments == ("a", "b")
    for name in ("", "a/b", "/a", "a/"):
        with pytest.raises(InvalidPath):
            ROOT / name
        with pytest.raises(InvalidPath):
            ArtifactPath.parse("d") / name


def test_the_root_has_no_name() -> None:
    assert (ROOT.is_root, ROOT.name, str(ROOT), ROOT.url) == (True, "", "", "")
    assert not ArtifactPath.parse("a").is_root


@pytest.mark.parametrize(
    "text",
    ["\x00", "a\r\nSet-Cookie: x", "../" + "é" * 5000, "\ud800", "\u202e/..", "x" * 100_000],
    ids=lambda text: ascii(text[:20]),
)
def test_a_refusal_shows_the_path_without_repeating_its_dangers(text: str) -> None:
    with pytest.raises(InvalidPath) as caught:
        ArtifactPath.parse(text)
    message = str(caught.value)
    assert message.isascii()
    assert message.isprintable()
    assert ascii(text[:20]).strip("'") in message
    assert len(message) < 1500
