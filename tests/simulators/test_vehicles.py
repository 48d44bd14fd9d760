"""Same seed, same vehicles; plates that cameras and edges take for real, and that cannot be taken for one another."""

from collections import Counter
from itertools import pairwise

from core.identity.plates import confusable_distance, confusable_variants, parse_plate
from core.identity.tokens import TokenKind, identify
from edge.lanes.votes import same_plate
from simulators.vehicles import BLOCKED, Manner, Way, listed_plates, plan

WAYS = [Way(f"CH-{number}", (f"V-{number}",), rear=number % 2 == 0) for number in range(16)]


def test_the_same_seed_gives_the_same_vehicles():
    assert plan(7, WAYS, 300, 10.0) == plan(7, WAYS, 300, 10.0)
    assert plan(7, WAYS, 300, 10.0) != plan(8, WAYS, 300, 10.0)


def test_a_longer_day_begins_like_a_shorter_one():
    short, long = plan(7, WAYS[:1], 100, 10.0), plan(7, WAYS[:1], 300, 10.0)
    assert long[: len(short)] == short


def test_every_manner_comes_and_a_mismatch_only_where_somebody_looks_behind():
    vehicles = plan(7, WAYS, 900, 10.0)
    assert set(Counter(one.manner for one in vehicles)) == set(Manner)
    assert {way.channel for way in WAYS if way.rear} >= {one.channel for one in vehicles if one.behind}
    assert all((one.manner is Manner.MISMATCH) is bool(one.behind) for one in vehicles)


def test_no_plate_is_there_twice_in_the_whole_fleet():
    plates = [one.plate for site in range(5) for one in plan(7, WAYS, 600, 10.0, site)]
    plates += [one.behind for site in range(5) for one in plan(7, WAYS, 600, 10.0, site) if one.behind]
    assert len(set(plates)) == len(plates) > 1000


def test_plates_are_plates_and_of_districts_that_are_not_there():
    for one in plan(7, WAYS, 300, 10.0):
        assert identify(one.plate).kind is TokenKind.PLATE
        assert one.plate[0] in "藏宁"
        assert one.plate[1] in "KLMNPQRTUV"


def test_who_follows_is_not_taken_for_who_was_before():
    for one, other in pairwise(plan(7, WAYS, 600, 10.0)):
        if one.channel == other.channel:
            assert not same_plate(parse_plate(one.plate), parse_plate(other.plate))


def test_only_who_is_listed_or_nearly_so_is_near_a_listed_plate():
    vehicles = plan(7, WAYS, 600, 10.0)
    listed = set(listed_plates(vehicles))
    for one in vehicles:
        near = {one.known_by, *confusable_variants(one.known_by)} if one.known_by else set()
        twice = {text for first in near for text in confusable_variants(first)}
        hit = bool((near | twice) & listed)
        assert hit is (one.manner in {Manner.LISTED, Manner.FUZZY})
        assert (one.known_by in listed) is (one.manner is Manner.LISTED)
        if one.manner is Manner.FUZZY:
            assert confusable_distance(one.known_by, one.plate) == 1
    assert {Manner.LISTED, Manner.FUZZY} < BLOCKED
