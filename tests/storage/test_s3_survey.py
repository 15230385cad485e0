"""A survey says of many places what a look at each would say, with far fewer requests."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import cast

import pytest

from app.errors import PathConflict
from app.storage.entry import Entry
from app.storage.s3 import places, survey
from app.storage.s3.places import Look, Places
from app.storage.s3.storage import S3Storage
from app.storage.s3.survey import Survey
from tests.support.artifacts import path, put
from tests.support.interposer_actions import replace_body
from tests.support.object_store import ObjectStore
from tests.support.s3_batches import judge, outcomes, small, stage_all
from tests.support.s3_chain import PREFIX, Chain, chained

NAMES = ["a", "a!", "a-b", "a-b-c", "a.b", "aa", "b", "c%2Fd", "ü"]
"""Some of them are between another one and what is below a directory of that name."""


@pytest.fixture
def chain(object_store: ObjectStore, bucket: str) -> Iterator[Chain]:
    with chained(object_store, bucket) as opened:
        yield opened


@pytest.fixture(params=["by name", "by key"])
def either(request: pytest.FixtureRequest) -> Chain:
    """A root in a store that lists by name, or in one that lists by key."""
    found: Chain = request.getfixturevalue("chain" if request.param == "by name" else "second_chain")
    return found


@pytest.fixture
def without_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found out is not asked again, however slow the machine is."""
    monkeypatch.setattr(survey, "_SECONDS", 1e9)
    monkeypatch.setattr(places, "_FRESH_SECONDS", 1e9)


def surveying(chain: Chain, wanted: list[str]) -> Survey:
    publisher = cast(S3Storage, chain.storage)._workshop.publisher
    made = Survey(publisher.bucket, publisher.places)
    for one in wanted:
        made.include(path(one))
    return made


def looked(at: Places | Survey, place: str) -> tuple[str | None, int | None, bool] | str:
    """What stands at the place: ETag and size of an artifact, and whether a marker does; or the refusal."""
    try:
        look: Look = at.look(path(place))
    except PathConflict as error:
        return str(error)
    current = look.current or Entry(path(place))
    return current.etag, current.size, look.marker


class TestAnswers:
    @pytest.mark.parametrize("names", [3, 250])
    def test_are_those_of_a_look_wherever_something_stands(
        self, either: Chain, monkeypatch: pytest.MonkeyPatch, names: int
    ) -> None:
        monkeypatch.setattr(survey, "_NAMES", names)
        chance = random.Random(7)  # noqa: S311 - the same places each time
        places = [*NAMES, *(f"{one}/{other}" for one in NAMES for other in NAMES)]
        for place in chance.sample(places, len(places) // 3):
            # Past the server, so that files and directories of one name are among them.
            either.direct.put_object(Bucket=either.bucket, Key=f"{PREFIX}t/{place}", Body=place.encode())
        either.direct.put_object(Bucket=either.bucket, Key=f"{PREFIX}t/marked/", Body=b"")
        wanted = [f"t/{place}" for place in [*places, "marked", "marked/x", "new/x/y", "a/b/c"]]
        chance.shuffle(wanted)
        at = cast(S3Storage, either.storage)._places
        made = surveying(either, wanted)
        found = {place: looked(made, place) for place in wanted}
        assert found == {place: looked(at, place) for place in wanted}
        kinds = Counter("refused" if isinstance(one, str) else one[0] is not None for one in found.values())
        assert min(kinds["refused"], kinds[True], kinds[False]) > 3

    def test_are_not_older_than_a_moment(self, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(survey, "_SECONDS", -1)
        made = surveying(chain, ["d/a", "d/b"])
        assert looked(made, "d/a") == (None, None, False)
        chain.direct.put_object(Bucket=chain.bucket, Key=f"{PREFIX}d/a", Body=b"meanwhile")
        assert looked(made, "d/a") == looked(cast(S3Storage, chain.storage)._places, "d/a")

    @pytest.mark.parametrize("place", ["d/a\\b", "d\\a/b"])
    def test_are_right_where_a_store_has_a_slash_for_a_backslash(self, chain: Chain, place: str) -> None:
        chain.direct.put_object(Bucket=chain.bucket, Key=PREFIX + place, Body=b"x")
        made = surveying(chain, ["d/c", place])
        assert looked(made, place) == looked(cast(S3Storage, chain.storage)._places, place)
        assert looked(made, place)[1] == 1

    def test_have_an_etag_where_the_listing_has_none(self, chain: Chain) -> None:
        put(chain.storage, "d/a")
        listed = f"<Key>{PREFIX}d/a</Key><Size>4</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        page = f"<IsTruncated>false</IsTruncated><Contents>{listed}</Contents>"
        body = f"<ListBucketResult>{page}</ListBucketResult>".encode()
        rule = chain.interposer.on("ListObjectsV2", replace_body(200, body))
        assert looked(surveying(chain, ["d/a"]), "d/a")[0] == chain.storage.stat(path("d/a")).etag
        assert rule.used

    def test_refuse_what_is_below_a_file_above_all_of_them(self, chain: Chain) -> None:
        put(chain.storage, "d")
        made = surveying(chain, ["d/e/a", "d/e/b"])
        for place in ("d/e/a", "d/e/b"):
            with pytest.raises(PathConflict):
                made.look(path(place))


@pytest.mark.usefixtures("without_time")
class TestRequests:
    def test_of_a_batch_in_new_directories_are_hardly_more_than_its_members(self, chain: Chain) -> None:
        wanted = [f"run/{directory}/{number}" for directory in range(4) for number in range(10)]
        with chain.storage.batch() as batch:
            stage_all(batch, wanted, small)
            assert judge(batch) == len(wanted)
            judged = Counter(chain.interposer.operations())
            assert set(outcomes(batch).values()) == {None}
        assert judged["ListObjectsV2"] <= 4  # of the first directory, of the one above, and again to judge
        assert judged["HeadObject"] <= 3  # whether one of those is a file
        counted = Counter(chain.interposer.operations())
        assert counted["PutObject"] == len(wanted)
        assert counted.total() - len(wanted) <= 20
        assert chain.artifacts() == {name: small(name) for name in wanted}

    def test_of_a_batch_that_replaces_another_are_as_few(self, chain: Chain) -> None:
        wanted = [f"run/{number:03}" for number in range(40)]
        for name in wanted:
            chain.direct.put_object(Bucket=chain.bucket, Key=PREFIX + name, Body=b"old")
        with chain.storage.batch() as batch:
            stage_all(batch, wanted, small)
            assert judge(batch) == len(wanted)
            assert [one.created for one in batch.publish()] == [False] * len(wanted)
        counted = Counter(chain.interposer.operations())
        assert counted.total() - counted["PutObject"] <= 5
        assert chain.artifacts() == {name: small(name) for name in wanted}

    def test_in_a_directory_of_many_pages_are_one_for_each_page_in_order(
        self, either: Chain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(survey, "_NAMES", 10)
        wanted = [f"d/{number:03}" for number in range(40)]
        for name in wanted:
            either.direct.put_object(Bucket=either.bucket, Key=PREFIX + name, Body=b"old")
        made = surveying(either, wanted)
        assert all(isinstance(looked(made, name), tuple) for name in wanted)
        counted = Counter(either.interposer.operations())
        assert counted["ListObjectsV2"] <= 6  # each begins with the last name of the one before
        assert counted["HeadObject"] <= 1  # whether the directory is a file
