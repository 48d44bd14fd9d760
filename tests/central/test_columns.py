"""What an edge says is cut to what a column takes."""

from central.columns import LARGEST, finite, kept, kept_int
from central.envelope import read_event


def test_values_are_cut_to_their_columns():
    assert kept("a\0b" * 9, 5) == "a\ufffdba\ufffd"
    assert (kept_int(1 << 70), kept_int(-(1 << 70)), kept_int(1 << 40, 31)) == (LARGEST[63], -LARGEST[63], LARGEST[31])


def test_a_number_that_is_none_is_not_kept_as_one():
    """As text it passes for a number, and SQLite took it for NULL where none may be: the event was stranded."""
    raw = b'{"lane":"L","attempt":"A","direction":"in","subject_token":"","opened_ms":"NaN","duration_ms":1}'
    event = read_event("gatefleet.PassageCleared.v1", raw)
    assert (finite(event.opened_ms), finite(event.opened_ms, 0.0), finite(1.5)) == (None, 0.0, 1.5)
