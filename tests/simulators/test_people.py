"""Same seed, same people; and documents that readers and edges take for real."""

from collections import Counter

import pytest

from core.identity.mrz import parse_mrz
from core.identity.tokens import TokenKind, identify
from simulators.people import Manner, listed_documents, plan, specimen

LANES = [f"L{number}" for number in range(20)]


def test_the_same_seed_gives_the_same_people():
    assert plan(7, LANES, 300, 6.0) == plan(7, LANES, 300, 6.0)
    assert plan(7, LANES, 300, 6.0) != plan(8, LANES, 300, 6.0)


def test_a_longer_day_begins_like_a_shorter_one():
    short, long = plan(7, ["L1"], 100, 6.0), plan(7, ["L1"], 300, 6.0)
    assert long[: len(short)] == short


def test_nobody_shares_a_document_and_every_manner_comes():
    people = plan(7, LANES, 600, 6.0)
    assert len({one.document for one in people}) == len(people)
    assert set(Counter(one.manner for one in people)) == set(Manner)
    assert len(listed_documents(people)) == sum(one.manner is Manner.LISTED for one in people)


def test_families_come_together():
    times = Counter((one.lane, one.at_s) for one in plan(7, LANES, 600, 6.0))
    assert 2 <= max(times.values()) <= 5


@pytest.mark.parametrize("number", [0, 1, 7, 123, 99_999_999])
def test_a_specimen_is_a_valid_passport_of_utopia(number):
    zone = parse_mrz(specimen(number).split("|"))
    assert (zone.valid, zone.issuer, zone.format) == (True, "UTO", "TD3")
    assert identify(specimen(number)).kind is TokenKind.DOCUMENT
