"""The fuzzer finds what is wrong, and every parser stands a short round of it."""

import random

import pytest

from bench import fuzz
from drivers import registry


@pytest.mark.slow
def test_every_parser_stands_broken_input(capsys):
    assert fuzz.main(["--seconds", "6", "--seed", "1"]) == 0, capsys.readouterr().out
    said = capsys.readouterr().out
    assert all(name in said for name in registry.names() if registry.driver(name).decoder)


def test_a_parser_that_raises_or_takes_its_time_is_found():
    def raises(data):
        if len(data) > 20:
            raise KeyError("x")

    tally = fuzz.fuzz(raises, fuzz.seeds(), 5, random.Random(1))
    assert tally.failures[0].startswith("KeyError")
    assert len(tally.failures) == 5
