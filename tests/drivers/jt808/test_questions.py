"""How a command is answered, by table: replies as (what, number of the part or result)."""

import pytest

from drivers.jt808.questions import MOST_OPEN, Asked, Questions

DONE = ""


def asked(msg_id, parts=1, serial=0xFFFE):
    return Asked(msg_id, serial, (b"",) * parts)


@pytest.mark.parametrize(
    ("msg_id", "parts", "replies", "outcome"),
    [
        (0x8300, 1, [(0, 0)], DONE),
        (0x8300, 1, [], None),
        (0x8300, 1, [(0, 3)], "it does not support that"),
        (0x8300, 1, [(0, 9)], "no result of the standard"),
        (0x8300, 1, [(0, 0), (0, 1)], DONE),
        (0x8300, 1, [(1, 0)], None),  # of another message
        (0x8108, 3, [(0, 0)], None),
        (0x8108, 3, [(1, 0)], None),
        (0x8108, 3, [(2, 0)], DONE),  # its serial has gone over the end
        (0x8108, 3, [(0, 0), (1, 2)], "the message is wrong"),
        (0x8104, 1, [(0, 0)], None),  # the parameters are the answer
        (0x8104, 1, [(0, 1)], "it failed"),
        (0x8201, 1, [(0, 0)], None),
    ],
)
def test_general_replies(msg_id, parts, replies, outcome):
    questions, one = Questions(), asked(msg_id, parts)
    questions.add(one)
    for part, result in replies:
        questions.replied(msg_id, 0xFFFE + part & 0xFFFF, result)
    assert one.outcome == outcome if not outcome else outcome in (one.outcome or "")


def test_a_reply_to_another_message_id_is_not_about_it():
    questions, one = Questions(), asked(0x8300)
    questions.add(one)
    questions.replied(0x8105, 0xFFFE, 0)
    assert one.outcome is None


def test_an_answer_is_for_the_question_with_its_serial_and_else_for_the_oldest():
    questions, first, second = Questions(), asked(0x8104, serial=1), asked(0x8106, serial=2)
    questions.add(first)
    questions.add(second)
    queries = frozenset({0x8104, 0x8106})
    questions.told(queries, 2)
    assert (first.outcome, second.outcome) == (None, DONE)
    questions.told(queries, 9)
    assert first.outcome is None
    questions.told(queries)
    assert first.outcome == DONE


def test_the_end_of_an_upgrade_is_its_outcome_and_a_first_part_is_enough_where_nothing_more_comes():
    questions, one, other = Questions(), asked(0x8108, 3), asked(0x8108, 3, serial=9)
    for each in (one, other):
        questions.add(each)
    assert one.unanswered() is None
    questions.replied(0x8108, 0xFFFE, 0)
    assert (one.unanswered(), other.unanswered()) == (DONE, None)
    questions.upgraded(2)
    assert "cancelled" in (one.outcome or "")
    questions.upgraded(0)
    assert other.outcome == DONE


def test_only_so_many_questions_are_kept():
    questions = Questions()
    many = [asked(0x8300, serial=number) for number in range(MOST_OPEN + 3)]
    for one in many:
        questions.add(one)
    for number in range(MOST_OPEN + 3):
        questions.replied(0x8300, number, 0)
    assert [one.outcome for one in many] == [None] * 3 + [DONE] * MOST_OPEN
