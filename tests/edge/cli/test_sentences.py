"""No finding without a sentence: the codes, faults and signals that the source can raise, collected from it."""

import ast
import tomllib
from pathlib import Path

import pytest

from drivers.barrier.contacts import SWITCHES_DISAGREE
from edge.cli import language
from edge.cli.sentences import FAULTS, SENTENCES, told
from edge.cli.sentences_devices import SIGNALS, WORDS
from edge.conditions import WATCHED
from edge.reporting import ALARMS

ROOT = Path(__file__).parents[3]
OF_TABLES = {"signal", "fault_bit"}
"""Codes whose sentence depends on an argument; the tests below take each of them."""
RESERVED = {"bus_neighbour_ok", "profile_mismatch", "count_drift", "platform_ok"}
"""Sentences for codes of no Finding: the first two are for newer daemons, then central's, and what `why` says of a platform."""


def raised():
    """Return the code of every finding that is made in the source, by where it is; the code must stand there."""
    found = {}
    for folder in ("edge", "drivers"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                match node:
                    case ast.Call(func=ast.Name(id="Finding"), args=[ast.Constant(value=str(code)), *_]):
                        found.setdefault(code, f"{file.relative_to(ROOT)}:{node.lineno}")
                    case ast.Call(func=ast.Name(id="Finding")):
                        pytest.fail(f"{file.relative_to(ROOT)}:{node.lineno}: the code of a finding is not a literal")
    return found


def test_every_code_that_is_raised_has_a_sentence_and_a_cure():
    found = raised()
    assert len(found) > 20
    missing = {code: where for code, where in found.items() if code not in SENTENCES and code not in OF_TABLES}
    assert missing == {}
    assert [code for code in found if code != "ok" and code in SENTENCES and not SENTENCES[code].cure] == []


def test_every_sentence_is_of_a_code_that_is_raised():
    assert set(SENTENCES) - set(raised()) - RESERVED == set()


def test_every_signal_that_makes_a_device_sick_has_a_sentence():
    assert (ALARMS | WATCHED) - set(SIGNALS) == set()
    assert set(SIGNALS) - ALARMS - WATCHED == set()


def fault_names(table):
    """Yield the names under `faults` and `fault_bits` of a profile, wherever they stand."""
    for key, value in table.items():
        if isinstance(value, dict):
            if key in {"faults", "fault_bits"}:
                yield from value
            else:
                yield from fault_names(value)


def test_every_fault_that_a_profile_names_has_a_sentence():
    names = {SWITCHES_DISAGREE}
    for file in sorted((ROOT / "firmware_profiles").rglob("*.toml")):
        names |= set(fault_names(tomllib.loads(file.read_text(encoding="utf-8")).get("map", {})))
    assert len(names) > 8
    assert names - set(FAULTS) == set()


@pytest.mark.parametrize("lang", language.LANGUAGES)
def test_every_signal_and_word_is_said_in_both_languages(lang):
    language.speak(lang)
    try:
        for topic in SIGNALS:
            why, cure = told({"code": "signal", "args": {"topic": topic, "source": ""}})
            assert why.endswith((".", "。")), topic
            assert cure.endswith((".", "。")), topic
            assert not {"(", "（", "{"} & set(why + cure), topic
        for word, text in WORDS.items():
            why, _ = told({"code": "doubtful", "args": {"point": "p_m", "why": word}})
            assert language._(text) in why
            assert (lang == "en") == (language._(text) == text)
    finally:
        language.speak("en")


def test_a_fault_of_a_barrier_is_said_as_that_fault():
    finding = {"code": "signal", "args": {"topic": "fault", "source": "battery"}}
    assert told(finding) == (FAULTS["battery"].why, FAULTS["battery"].cure)
    assert "(own)" in told({"code": "signal", "args": {"topic": "fault", "source": "own"}})[0]
