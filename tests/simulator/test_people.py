"""The people of a world: their ids are of the platform's form, and the same each time."""

import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.simulator.api.people import OPEN_ID, POPULATION, People, follower_id
from gateway.simulator.documents import USER

NAMES = st.text(min_size=1).filter(lambda name: OPEN_ID.fullmatch(name) is None)
APPS = st.from_regex(r"wx[0-9a-f]{16}", fullmatch=True)
OPEN_IDS = st.from_regex(re.compile(r"o[A-Za-z0-9_-]{27}"), fullmatch=True)


@given(NAMES, APPS, APPS)
def test_an_app_knows_a_person_by_one_id_and_all_apps_by_one_more(
    name: str, app: str, other: str
) -> None:
    people, again = People(), People()
    person = people.get(name)
    ids = [people.open_id(person, one, official=False) for one in (app, other)]
    assert ids == [again.open_id(again.get(name), one, official=False) for one in (app, other)]
    assert (ids[0] == ids[1]) == (app == other)
    for one in (*ids, person.union_id):
        assert (len(one), OPEN_ID.fullmatch(one) is not None) == (28, True)
    assert person.union_id == again.get(name).union_id
    assert person.union_id not in ids
    assert people.behind(ids[0], app) is person
    assert people.behind(ids[1], other) is person


@given(st.sets(NAMES, min_size=2), APPS)
def test_no_two_people_share_an_id(names: set[str], app: str) -> None:
    people = People()
    persons = [people.get(name) for name in names]
    for ids in (
        {people.open_id(one, app, official=True) for one in persons},
        {one.union_id for one in persons},
    ):
        assert len(ids) == len(names)


@given(OPEN_IDS, APPS, APPS)
def test_an_id_that_is_nobodys_is_a_strangers(open_id: str, app: str, other: str) -> None:
    people = People()
    stranger = people.behind(open_id, app)
    assert stranger not in people.named()
    assert people.open_id(stranger, app, official=True) == open_id
    assert people.behind(open_id, other).union_id == stranger.union_id
    assert People().behind(open_id, app).union_id == stranger.union_id
    assert OPEN_ID.fullmatch(stranger.union_id)


def test_the_first_is_the_demos_user_in_each_official_account() -> None:
    people = People()
    assert (people.first.name, len(people.named())) == ("小明🎈", 3)
    for app in ("wx1", "wx2"):
        assert people.open_id(people.first, app, official=True) == USER
        assert people.behind(USER, app) is people.first
    in_an_app = people.open_id(people.first, "wx3", official=False)
    assert in_an_app != USER
    assert people.behind(in_an_app, "wx3") is people.first
    assert people.get(USER) is people.first


def test_people_come_as_they_are_named_and_are_known_where_nobody_looked_before() -> None:
    people = People()
    people.behind(people.open_id(people.get("早来的"), "wx1", official=True), "wx1")
    late = people.get("晚来的")
    assert people.behind(people.open_id(late, "wx1", official=True), "wx1") is late
    assert [one.name for one in people.named()] == [*POPULATION, "早来的", "晚来的"]
    assert people.find("没来的") is None


@given(NAMES)
def test_a_person_has_a_phone_number_and_a_picture(name: str) -> None:
    person = People().get(name)
    assert re.fullmatch(r"1\d{10}", person.phone)
    assert re.fullmatch(r"https://thirdwx\.qlogo\.cn/mmopen/vi_32/[\w-]{43}/132", person.avatar)


def test_followers_by_number_are_all_different() -> None:
    ids = {follower_id(app, number) for app in ("wx1", "wx2") for number in range(1000)}
    assert len(ids) == 2000
    assert all(OPEN_ID.fullmatch(one) for one in ids)
