"""What is permitted where: whole segments, denials first, and no value that widens anything."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidPath
from app.identity.permissions import EVERYTHING, Action, Grant, Permissions
from app.paths import ArtifactPath

READ, LIST, WRITE, DELETE = Action.READ, Action.LIST, Action.WRITE, Action.DELETE


def path(text: str) -> ArtifactPath:
    return ArtifactPath.parse_directory(text)


def permissions(*allow: str, deny: tuple[str, ...] = (), **values: tuple[str, ...]) -> Permissions:
    return Permissions.filled(
        tuple(map(Grant.parse, allow)), tuple(map(Grant.parse, deny)), lambda name: values.get(name, ())
    )


@pytest.mark.parametrize("text", ["read:", "read:/"])
def test_a_grant_without_a_path_is_for_everything(text: str) -> None:
    assert Grant.parse(text) == Grant(frozenset({READ}), ())


@pytest.mark.parametrize("text", ["read, list:a/b", "read,list:a/b/", "list,read:/a/b"])
def test_slashes_around_the_path_of_a_grant_mean_nothing(text: str) -> None:
    assert Grant.parse(text) == Grant(frozenset({READ, LIST}), ("a", "b"))


def test_all_stands_for_every_action() -> None:
    assert Grant.parse("all:a").actions == frozenset(Action)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("models/", "has no colon; write actions, a colon and a path, such as 'read,list:models/'"),
        ("reed:models/", "known are read, list, write, delete, and all"),
        ("read,all:models/", "known are read, list, write, delete, and all"),
        (":models/", "known are read, list, write, delete, and all"),
        ("read:a/../b", "has a path that no artifact may have"),
        ("read:a//b", "has a path that no artifact may have"),
        ("read://", "has a path that no artifact may have"),
        ("read:a\\", "has a path that no artifact may have"),
        ("read:.artifact-proxy/", "has a path that no artifact may have"),
        ("read:users/{name/", "write one as {name}"),
        ("read:users/{}/", "write one as {name}"),
        ("read:users/{a b}/", "write one as {name}"),
    ],
)
def test_a_mistake_in_a_grant_names_its_text_and_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=re.escape(remedy)) as refused:
        Grant.parse(text)
    assert repr(text) in str(refused.value)


def test_what_is_granted_is_the_place_and_all_below_it_by_whole_segments() -> None:
    granted = permissions("read:a/b/")
    assert [
        text for text in ("a", "a/b", "a/b/c/d", "a/bc", "a/c", "ab", "") if granted.permit(READ, path(text))
    ] == [
        "a/b",
        "a/b/c/d",
    ]
    assert not granted.permit(WRITE, path("a/b/c"))


def test_a_denial_wins_over_every_allowance() -> None:
    granted = permissions("all:", "delete:a/b/c", deny=("delete:a/b/",))
    assert granted.permit(DELETE, path("a"))
    assert not granted.permit(DELETE, path("a/b/c"))
    assert granted.permit(READ, path("a/b/c"))


def test_a_tree_is_permitted_only_if_nothing_below_it_is_denied() -> None:
    granted = permissions("all:", deny=("delete:a/b/",))
    assert not granted.permit_all_below(DELETE, path("a"))
    assert not granted.permit_all_below(DELETE, path(""))
    assert not granted.permit_all_below(DELETE, path("a/b/c"))
    assert granted.permit_all_below(DELETE, path("a/c"))
    assert granted.permit_all_below(READ, path("a"))


def test_directories_lead_to_an_allowed_place_unless_it_is_denied() -> None:
    granted = permissions("list:a/b/c/", "list:x/y/", deny=("list:x/",))
    assert [text for text in ("", "a", "a/b", "a/b/c", "x", "b") if granted.lead_below(LIST, path(text))] == [
        "",
        "a",
        "a/b",
    ]
    assert not granted.lead_below(READ, path("a"))


def test_placeholders_take_every_value_of_the_caller() -> None:
    granted = permissions("all:teams/{team}/{name}/", team=("red", "blue"), name=("alice",))
    for team in ("red", "blue"):
        assert granted.permit(READ, path(f"teams/{team}/alice/x"))
    assert not granted.permit(READ, path("teams/red/bob/x"))
    assert not granted.permit(READ, path("teams/red"))


def test_without_a_value_nothing_is_allowed_and_all_that_could_be_meant_is_denied() -> None:
    granted = permissions("read:", "all:teams/{team}/", deny=("read:users/x-{tenant}/keys/",))
    assert not granted.permit(WRITE, path("teams/red"))
    assert not granted.permit(READ, path("users/anything"))
    assert granted.permit(READ, path("other"))


@pytest.mark.parametrize("value", ["", "/", "a/b", "../..", "a/", "/a"])
def test_a_value_that_is_no_segment_counts_as_none(value: str) -> None:
    granted = permissions("all:teams{team}/", "read:", deny=("read:keys/{team}/",), team=(value,))
    assert not granted.permit(WRITE, path("teams"))
    assert not granted.permit(WRITE, path("teamsa/b"))
    assert not granted.lead_below(WRITE, path(""))
    assert not granted.permit(READ, path("keys/anything"))


def test_more_values_than_anybody_should_have_count_as_none() -> None:
    many = tuple(map(str, range(200)))
    granted = permissions("all:{a}/{b}/", "read:", deny=("read:keys/{a}/{b}/",), a=many, b=many)
    assert not granted.permit(WRITE, path("1/1"))
    assert not granted.permit(READ, path("keys/1/500"))


SEGMENT = st.text("ab/\\.%25Fcx", max_size=5)


@given(value=SEGMENT, segments=st.lists(SEGMENT, max_size=3))
def test_no_value_opens_a_place_that_is_not_its_own_directory(value: str, segments: list[str]) -> None:
    try:
        asked = ArtifactPath.parse("/".join(["users", *segments]))
    except InvalidPath:
        return
    permitted = permissions("all:users/{name}/", name=(value,)).permit(READ, asked)
    assert not permitted or all(reading[:2] == ("users", value) for reading in asked.readings)


DISGUISES = ["users\\bob\\x", "users%2Fbob%2Fx", "users%252Fbob%252Fx", "users%5Cbob%5Cx", "users/bob%2Fx"]


@pytest.mark.parametrize("text", DISGUISES)
def test_a_disguised_path_needs_what_the_plain_one_needs(text: str) -> None:
    disguised = ArtifactPath.parse(text)
    assert not permissions("all:", deny=("read:users/bob/",)).permit(READ, disguised)
    assert not permissions("all:users/alice/", "all:", deny=("all:users/bob/",)).permit(WRITE, disguised)
    assert EVERYTHING.permit(READ, disguised)


@pytest.mark.parametrize("text", ["users/alice\\..a/x", "users/alice%2Fx", "users/alice\\x"])
def test_a_place_is_no_way_out_of_itself(text: str) -> None:
    assert not permissions("all:users/alice\\x", "all:users/alice%2Fx").permit(READ, ArtifactPath.parse(text))


def test_the_name_of_a_directory_that_looks_escaped_hides_no_denial_below_it() -> None:
    assert not permissions("all:", deny=("delete:a/b/c/",)).permit_all_below(
        DELETE, ArtifactPath.parse("a%2Fb")
    )
