"""The table tells values, aims and misses as they are."""

import pytest

from bench.figures import Figure, median, quantile, short, table


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.01234, "0.0123"), (1.0, "1.00"), (20_000, "20,000"), (31_415.9, "31,416"), (999.6, "1,000")],
)
def test_a_value_is_told_with_the_digits_that_count(value, text):
    assert short(value) == text


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 3), (0.61, 4), (0.99, 5), (1.0, 5)])
def test_a_quantile_is_a_value_that_was_measured(share, value):
    assert quantile([5, 1, 4, 2, 3], share) == value


def test_of_two_middle_values_the_lower_is_the_median():
    assert median([4, 1, 3, 2]) == 2


def test_an_aim_is_met_or_missed_on_its_own_side():
    assert Figure("rate", 20_000, "/s", at_least=20_000).good is True
    assert Figure("rate", 19_999, "/s", at_least=20_000).good is False
    assert Figure("latency", 5.0, "ms", at_most=5).good is True
    assert Figure("latency", 5.1, "ms", at_most=5).good is False
    assert Figure("fdatasync", 900, "/s").good is None


def test_the_table_marks_what_is_missed_and_says_once_what_others_did():
    figures = [
        Figure("slow", 1, "/s", at_least=2, limit=4, limit_of="rows/s", ratio=0.25, others="theirs 3"),
        Figure("fast", 3, "/s", at_least=2, others="theirs 3", note="well"),
    ]
    head, slow, fast, note, others = table(figures).splitlines()
    assert head.split() == ["measured", "aim", "limit", "here", "ratio"]
    assert "MISSED" in slow
    assert slow.split()[-3:] == ["4.00", "rows/s", "0.25"]
    assert "MISSED" not in fast
    assert note == "  fast: well"
    assert others == "  Remembered from others, not this run: theirs 3"
