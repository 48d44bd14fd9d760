"""Vectors are copies: where their source lies beside this repository, nothing may be missing or changed."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCE = HERE.parents[2] / "shared" / "vectors"
CARRIED = sorted(HERE.glob("*.jsonl"))


def test_there_are_vectors() -> None:
    assert CARRIED


@pytest.mark.parametrize("copy", CARRIED, ids=lambda path: path.stem)
def test_no_row_is_missing_or_changed(copy: Path) -> None:
    source = SOURCE / copy.name
    if not source.is_file():
        pytest.skip("the source of the vectors is not beside this repository")
    assert copy.read_bytes().splitlines() == source.read_bytes().splitlines()
