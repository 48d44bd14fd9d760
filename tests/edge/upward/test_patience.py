"""One that is never taken blocks nobody; an upper library that takes nothing loses nothing."""

from edge.upward.patience import BEHIND_AFTER, MAX_BEHIND, OVERTAKEN, TRIES, Patience


def test_they_are_tried_in_their_order():
    assert Patience().chosen(range(1, 100), 3) == [1, 2, 3]


def test_one_that_is_not_taken_lets_the_others_go_first():
    patience = Patience()
    assert [patience.is_over(1) for _ in range(BEHIND_AFTER)] == [False] * BEHIND_AFTER
    assert patience.chosen([1, 2, 3, 4], 2) == [2, 3]
    assert patience.chosen([1], 2) == [1]


def test_while_nothing_is_taken_nothing_is_given_up():
    patience = Patience()
    assert not any(patience.is_over(1) for _ in range(10 * TRIES))


def test_one_that_others_overtake_is_given_up():
    patience = Patience()
    patience.is_over(1)
    for _ in range(OVERTAKEN):
        patience.delivered()
    tries = next(number for number in range(2, 100) if patience.is_over(1))
    assert tries == TRIES


def test_no_more_stand_behind_than_are_looked_at():
    patience = Patience()
    for seq in range(1, 200):
        for _ in range(BEHIND_AFTER):
            patience.is_over(seq)
    assert patience.chosen(range(1, 300), 5) == [MAX_BEHIND + 1 + number for number in range(5)]
    assert len(patience._tries) <= 2 * MAX_BEHIND
    patience.forget(1)
    assert patience.chosen(range(1, 300), 2)[0] == 1
