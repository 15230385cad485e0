"""Digests that a client announces or wants (RFC 1864, RFC 9530)."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.digests import Digests
from app.errors import DigestMismatch, InvalidRequest
from tests.support.headers import headers

BODY = b"an artifact\x00\xff"


def encoded(name: str, body: bytes = BODY) -> str:
    return b64encode(hashlib.new(name, body).digest()).decode()


MD5, SHA_256, SHA_512 = encoded("md5"), encoded("sha256"), encoded("sha512")
FIELDS = pytest.mark.parametrize("field", ["Content-Digest", "Repr-Digest"])


def announced(*lines: tuple[str, str]) -> Digests:
    return Digests(headers(*lines))


def accepts(digests: Digests, *pieces: bytes) -> bool:
    """Whether a body of `pieces` is what was announced."""
    for piece in pieces:
        digests.update(piece)
    try:
        digests.verify()
    except DigestMismatch:
        return False
    return True


def test_nothing_announced_accepts_every_body() -> None:
    assert accepts(announced(), BODY)
    assert accepts(announced())


class TestContentMd5:
    def test_the_right_one_is_accepted_and_a_wrong_one_refused(self) -> None:
        assert accepts(announced(("Content-MD5", MD5)), BODY)
        assert accepts(announced(("Content-MD5", f" {MD5} ")), BODY)
        assert not accepts(announced(("Content-MD5", MD5)), BODY + b"x")
        assert not accepts(announced(("Content-MD5", MD5)))

    @pytest.mark.parametrize(
        "value",
        [
            *("", "?", "AAAA", MD5[:-1], MD5 + MD5, MD5[:-4] + "*===", SHA_256, "=" * 24, "\xff" * 24),
            hashlib.md5(BODY, usedforsecurity=False).hexdigest(),
        ],
        ids=ascii,
    )
    def test_a_malformed_one_is_refused_before_the_body(self, value: str) -> None:
        with pytest.raises(InvalidRequest, match="Content-MD5"):
            announced(("Content-MD5", value))

    def test_each_of_several_must_be_right(self) -> None:
        wrong = encoded("md5", b"another")
        assert not accepts(announced(("Content-MD5", MD5), ("Content-MD5", wrong)), BODY)
        assert not accepts(announced(("Content-MD5", wrong), ("Content-MD5", MD5)), BODY)
        assert accepts(announced(("Content-MD5", MD5), ("Content-MD5", MD5)), BODY)


@FIELDS
class TestDigestFields:
    @pytest.mark.parametrize(("algorithm", "right"), [("sha-256", SHA_256), ("sha-512", SHA_512)])
    def test_the_right_one_is_accepted_and_a_wrong_one_refused(
        self, field: str, algorithm: str, right: str
    ) -> None:
        value = f"{algorithm}=:{right}:"
        assert accepts(announced((field, value)), BODY)
        assert not accepts(announced((field, value)), BODY[:-1])
        assert not accepts(announced((field, value)))

    @pytest.mark.parametrize(
        "algorithm", ["md5", "sha", "crc32c", "adler", "unixsum", "sha-384", "sha3-256", "x"]
    )
    def test_an_unknown_algorithm_is_ignored(self, field: str, algorithm: str) -> None:
        assert accepts(announced((field, f"{algorithm}=:AAAA:")), BODY)
        assert accepts(announced((field, f"{algorithm}=:AAAA:, sha-256=:{SHA_256}:")), BODY)
        assert not accepts(announced((field, f"sha-256=:{SHA_256}:, {algorithm}=:AAAA:")), b"another")

    @pytest.mark.parametrize(
        "value",
        [
            *("sha-256", "sha-256=", "sha-256=::", "sha-256=:AAAA:", "sha-256=1"),
            *('sha-256="x"', "sha-256=?1"),
            *(f"sha-256={SHA_256}", f"sha-256=:{SHA_256}"),
            *(f'sha-256=":{SHA_256}:"', f"sha-256=(:{SHA_256}:)"),
            *(f"sha-256=:{SHA_512}:", f"sha-512=:{SHA_256}:"),
            *(f"SHA-256=:{SHA_256}:", f"sha-256 = :{SHA_256}:"),
            *("sha-256=:\xff\xff:", "sha-256=:****:", f"sha-256=:{SHA_256}:,", f"sha-256=:{SHA_256}: x"),
            *("=", ",", "\xe9", "x;", f"{SHA_256}", "(" * 5000),
        ],
        ids=lambda value: ascii(value[:40]),
    )
    def test_a_malformed_one_is_refused_before_the_body(self, field: str, value: str) -> None:
        with pytest.raises(InvalidRequest, match=field):
            announced((field, value))

    def test_parameters_are_ignored(self, field: str) -> None:
        value = f'sha-256=:{SHA_256}:;q=1;note="x";sha-512'
        assert accepts(announced((field, value)), BODY)
        assert not accepts(announced((field, value)), b"another")

    def test_each_of_several_must_be_right(self, field: str) -> None:
        right = f"sha-256=:{SHA_256}:, sha-512=:{SHA_512}:"
        assert accepts(announced((field, right)), BODY)
        for wrong in (
            f"sha-256=:{encoded('sha256', b'x')}:, sha-512=:{SHA_512}:",
            f"sha-256=:{SHA_256}:, sha-512=:{encoded('sha512', b'x')}:",
        ):
            assert not accepts(announced((field, wrong)), BODY)

    def test_several_lines_are_one_field(self, field: str) -> None:
        wrong = encoded("sha512", b"x")
        assert accepts(announced((field, f"sha-256=:{SHA_256}:"), (field, f"sha-512=:{SHA_512}:")), BODY)
        assert not accepts(announced((field, f"sha-256=:{SHA_256}:"), (field, f"sha-512=:{wrong}:")), BODY)

    def test_an_empty_field_announces_nothing(self, field: str) -> None:
        assert accepts(announced((field, "")), BODY)

    @given(
        st.text(st.characters(max_codepoint=0xFF)) | st.text(st.sampled_from('sha-256=:A/+;,()"?1 \t\\@%*'))
    )
    def test_any_value_is_understood_or_refused(self, field: str, value: str) -> None:
        try:
            digests = announced((field, value))
        except InvalidRequest:
            return
        assert accepts(digests, BODY) or SHA_256 not in value


def test_every_field_is_verified_on_its_own() -> None:
    lines = [
        ("Content-MD5", MD5),
        ("Content-Digest", f"sha-256=:{SHA_256}:"),
        ("Repr-Digest", f"sha-256=:{SHA_256}:"),
    ]
    wrong = f"sha-256=:{encoded('sha256', b'x')}:"
    assert accepts(announced(*lines), BODY)
    assert not accepts(announced(*lines[:2], ("Repr-Digest", wrong)), BODY)
    assert not accepts(announced(lines[0], ("Content-Digest", wrong), lines[2]), BODY)
    assert not accepts(announced(("Content-MD5", encoded("md5", b"x")), *lines[1:]), BODY)


def test_a_mismatch_names_the_field_and_both_digests() -> None:
    digests = announced(("Repr-Digest", f"sha-256=:{SHA_256}:"))
    digests.update(b"another")
    with pytest.raises(DigestMismatch) as caught:
        digests.verify()
    message = str(caught.value)
    for part in ("Repr-Digest", hashlib.sha256(BODY).hexdigest(), hashlib.sha256(b"another").hexdigest()):
        assert part in message


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=6))
def test_how_the_body_is_cut_into_pieces_does_not_matter(body: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[start:stop] for start, stop in pairwise(edges)]
    assert b"".join(pieces) == body
    digests = announced(
        ("Content-MD5", encoded("md5", body)),
        ("Content-Digest", f"sha-256=:{encoded('sha256', body)}:"),
        ("Repr-Digest", f"sha-512=:{encoded('sha512', body)}:"),
        ("Want-Repr-Digest", "sha-256=1"),
    )
    assert accepts(digests, *pieces)
    assert digests.response_headers() == {"Repr-Digest": f"sha-256=:{encoded('sha256', body)}:"}
    assert not accepts(digests, b"more")


def given_digest(*wishes: str) -> str | None:
    digests = announced(*(("Want-Repr-Digest", wish) for wish in wishes))
    assert accepts(digests, BODY)
    return digests.response_headers().get("Repr-Digest")


GIVEN_256, GIVEN_512 = f"sha-256=:{SHA_256}:", f"sha-512=:{SHA_512}:"


class TestWantReprDigest:
    @pytest.mark.parametrize(
        ("wish", "answer"),
        [
            ("sha-256=1", GIVEN_256),
            ("sha-512=1", GIVEN_512),
            ("sha-256=10, sha-512=3", GIVEN_256),
            ("sha-256=3, sha-512=10", GIVEN_512),
            ("sha-256=5, sha-512=5", GIVEN_512),
            ("md5=10, sha-256=1", GIVEN_256),
            ("sha-256=10, sha-512=0", GIVEN_256),
            ("sha-256=0, sha-512=1", GIVEN_512),
            ("sha-256=1;x=2", GIVEN_256),
        ],
    )
    def test_the_preferred_digest_is_given(self, wish: str, answer: str) -> None:
        assert given_digest(wish) == answer

    @pytest.mark.parametrize("wish", ["sha-256=0", "sha-512=0, sha-256=0", "md5=10", "crc32c=1", "x"])
    def test_what_is_not_wanted_is_not_given(self, wish: str) -> None:
        assert given_digest(wish) is None

    @pytest.mark.parametrize(
        "wish",
        [
            *("sha-256=", "sha-256=-1", "sha-256=1.5", 'sha-256="1"', "sha-256", "sha-256=?1", "sha-256=(1)"),
            *("SHA-256=1", "sha-256=1,", "sha-256=99999999999999999999", "", ",", "\xff"),
        ],
        ids=ascii,
    )
    def test_a_malformed_wish_is_no_wish(self, wish: str) -> None:
        assert given_digest(wish) is None

    def test_wishes_on_several_lines_are_one(self) -> None:
        assert given_digest("sha-512=1", "sha-256=2") == GIVEN_256

    def test_without_a_wish_no_digest_is_given(self) -> None:
        digests = announced(("Repr-Digest", GIVEN_256))
        assert accepts(digests, BODY)
        assert digests.response_headers() == {}
