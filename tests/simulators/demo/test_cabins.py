"""The reckoning of boardings: counts, outcomes, seal and passengers, each of which may differ."""

from types import SimpleNamespace

import pytest

from simulators.boarding import BoardingPlan, Manner, Met, Passenger
from simulators.demo.cabins import Boarding, cabins

PLAN = BoardingPlan(
    "B1",
    "NX101",
    "12A",
    (Passenger(0, "A", Manner.PLAIN), Passenger(1, "B", Manner.IMPOSTOR), Passenger(2, "C", Manner.NO_SHOW)),
)
TRUTH = [
    Met(0, "A", Manner.PLAIN, "verified", left=True),
    Met(1, "B", Manner.IMPOSTOR, "refused", left=False),
    Met(2, "C", Manner.NO_SHOW, "no_show", left=False),
]
COUNTS = {"expected": 3, "seen": 2, "verified": 1, "held": 0, "released_by_officer": 0, "refused": 1}
COUNTS |= {"unexpected": 0, "no_show": 1}
VISITS = [
    {"token": "tA", "outcome": "verified", "left_at": "now"},
    {"token": "tB", "outcome": "refused", "left_at": None},
]


def reckoned(visits=VISITS, **changes):
    boarding = Boarding("C1", PLAN, SimpleNamespace(), SimpleNamespace(), list(TRUTH))
    known = {"counts": COUNTS, "seal": "valid"} | changes
    return cabins([boarding], {"B1": (known, visits)}, lambda document: f"t{document}")


def test_a_boarding_that_agrees_is_good():
    assert reckoned().good
    assert reckoned().tallies["passengers"].truth == 2


@pytest.mark.parametrize(
    ("visits", "changes"),
    [
        (VISITS, {"seal": "broken"}),
        (VISITS, {"seal": "unknown_key"}),
        (VISITS, {"counts": COUNTS | {"refused": 0}}),
        (VISITS, {"counts": None}),
        (VISITS[:1], {}),
        ([*VISITS, VISITS[0]], {}),
        (VISITS[::-1], {}),
        ([*VISITS, {"token": "tX", "outcome": "verified", "left_at": "now"}], {}),
        ([VISITS[0], VISITS[1] | {"outcome": "verified"}], {}),
        ([VISITS[0], VISITS[1] | {"left_at": "now"}], {}),
    ],
)
def test_any_difference_is_found(visits, changes):
    assert not reckoned(visits, **changes).good


def test_a_boarding_that_central_does_not_know_is_found():
    boarding = Boarding("C1", PLAN, SimpleNamespace(), SimpleNamespace(), list(TRUTH))
    assert not cabins([boarding], {}, lambda document: document).good
