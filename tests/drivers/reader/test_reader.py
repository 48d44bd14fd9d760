"""Lines as readers send them, in every cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Unsupported
from core.messages.commands import OpenGate
from drivers.base import Rejected, Report
from drivers.reader import DRIVER, LineMap, LineReader

# ICAO Doc 9303, part 4, appendix B (the specimen of Utopia), and part 5 for the card.
TD3 = ("P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L898902C36UTO7408122F1204159ZE184226B<<<<<10")
TD1 = ("I<UTOD231458907<<<<<<<<<<<<<<<", "7408122F1204159UTO<<<<<<<<<<<6", "ERIKSSON<<ANNA<MARIA<<<<<<<<<<")

TABLE = [
    (b"M12345678\r\n", ["M12345678"]),
    (b"M12345678\n", ["M12345678"]),
    (b"M12345678\rM87654321\r", ["M12345678", "M87654321"]),
    (b"\r\n\r\n", []),
    (b"\x02QR:abc \r\n", ["QR:abc"]),
    ("粤Z1234澳\r\n".encode(), ["粤Z1234澳"]),
    ("\r\n".join(TD3).encode() + b"\r\n", ["|".join(TD3)]),
    ("\r".join(TD1).encode() + b"\r", ["|".join(TD1)]),
    (("\r\n".join(TD3) + "\r\nM12345678\r\n").encode(), ["|".join(TD3), "M12345678"]),
    ((TD3[0] + "\r\nM12345678\r\n").encode(), ["rejected", "M12345678"]),
    (b"\xff\xfe\r\nM12345678\r\n", ["rejected", "M12345678"]),
    (b"a\x07b\r\nM12345678\r\n", ["rejected", "M12345678"]),
    (b"x" * 513 + b"\r\nM12345678\r\n", ["rejected", "M12345678"]),
    (b"x" * 512 + b"\r\n", ["x" * 512]),
]


def told(outputs):
    return [output.fact.text if isinstance(output, Report) else "rejected" for output in outputs]


def cuts(data):
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    yield [data[i : i + 7] for i in range(0, len(data), 7)]


@pytest.mark.parametrize(("data", "expected"), TABLE)
def test_each_row_in_every_cut(data, expected):
    for pieces in cuts(data):
        reader = LineReader(LineMap())
        assert told(output for piece in pieces for output in reader.receive(piece)) == expected


@given(st.lists(st.binary(max_size=700), max_size=5))
def test_no_bytes_break_it_and_the_next_document_is_read(pieces):
    reader = LineReader(LineMap())
    for piece in pieces:
        assert all(isinstance(output, Report | Rejected) for output in reader.receive(piece))
    reader.receive(b"\r\n")
    assert told(reader.receive(b"\r\nM12345678\r\n"))[-1] == "M12345678"


def test_it_takes_no_commands():
    with pytest.raises(Unsupported):
        LineReader(LineMap()).send(OpenGate(direction="in"))
    assert DRIVER.commands == frozenset()
