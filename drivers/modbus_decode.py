"""Offline decoding of Modbus traffic, heard on either side or on a tap between.

A decoder is called with pieces of one connection's bytes, cut anywhere, and returns what they complete; a call with no
bytes says that the connection has ended. Bad bytes raise FrameInvalid, in their order among the frames: frames before
them are returned first, and the next call raises. Request and answer of one shape are told apart by what came before.
"""

from collections import OrderedDict, deque
from typing import Any, Final, Protocol

from core.errors import FrameInvalid
from drivers.base import Rejected
from drivers.modbus_framing import (
    Adu,
    AsciiReader,
    FrameReader,
    SizeOf,
    TcpReader,
    crc16,
    mbap_fault,
    rtu_traffic,
)
from drivers.modbus_pdu import (
    COIL_ON,
    WRITE_COIL,
    BitsRead,
    Read,
    ReadWrite,
    Refusal,
    RegistersRead,
    Request,
    Response,
    WriteMany,
    WriteOne,
    Written,
    answer_head,
    answer_size,
    exception_text,
    parse_request,
    parse_response,
    request_size,
    response_size,
    short_text,
)

_ASKED_KEPT: Final = 64


class Decoder:
    """Decodes one connection."""

    def __init__(self, reader: FrameReader, framing: "_Framing") -> None:
        self._reader = reader
        self._framing = framing
        self._found: deque[Adu | Rejected] = deque()
        self._asked: OrderedDict[tuple[int, int], Request] = OrderedDict()

    def __call__(self, data: bytes) -> list[dict[str, Any]]:
        """Return the frames that `data` completes; raise FrameInvalid for what is none. No data: the end."""
        self._found.extend(self._reader.receive(data) if data else self._reader.flush())
        reports: list[dict[str, Any]] = []
        while self._found:
            try:
                reports.append(self._report(self._found[0]))
            except FrameInvalid:
                if reports:
                    return reports
                self._found.popleft()
                raise
            self._found.popleft()
        return reports

    def _report(self, item: Adu | Rejected) -> dict[str, Any]:
        if isinstance(item, Rejected):
            raise FrameInvalid(self._framing.explain(item))
        message = self._read(item)
        if isinstance(message, Read | WriteMany | ReadWrite):
            self._asked[item.transaction, item.unit] = message
            while len(self._asked) > _ASKED_KEPT:
                self._asked.popitem(last=False)
        else:
            self._asked.pop((item.transaction, item.unit), None)
        return self._framing.envelope(item) | describe(message)

    def _read(self, adu: Adu) -> Request | Response:
        asked = self._asked.get((adu.transaction, adu.unit))
        if asked and adu.pdu.startswith(answer_head(asked)) and len(adu.pdu) == answer_size(asked):
            return parse_response(adu.pdu)
        try:
            return parse_request(adu.pdu)
        except FrameInvalid as as_request:
            try:
                return parse_response(adu.pdu)
            except FrameInvalid:
                raise as_request from None


def rtu_decoder() -> Decoder:
    """Return a decoder of RTU traffic."""
    return Decoder(rtu_traffic(), _Rtu())


def ascii_decoder() -> Decoder:
    """Return a decoder of ASCII traffic."""
    return Decoder(AsciiReader(), _Ascii())


def tcp_decoder() -> Decoder:
    """Return a decoder of TCP traffic."""
    return Decoder(TcpReader(), _Tcp())


def describe(message: Request | Response) -> dict[str, Any]:
    """Return a message's fields as JSON values."""
    match message:
        case Read(address=address, count=count):
            return {"dir": "request", "address": address, "count": count}
        case WriteOne(function=function, address=address, value=value):
            coil = function == WRITE_COIL and value in {0, COIL_ON}
            return {"dir": "request/echo", "address": address, "value": value == COIL_ON if coil else value}
        case WriteMany(address=address, values=values):
            return {"dir": "request", "address": address, "count": len(values), "values": list(values)}
        case ReadWrite():
            read = {"read_address": message.read_address, "read_count": message.read_count}
            values = message.write_values
            return {"dir": "request", **read, "write_address": message.write_address, "write_values": list(values)}
        case BitsRead(bits=bits):
            return {"dir": "response", "bits": list(bits)}
        case RegistersRead(registers=registers):
            return {"dir": "response", "registers": list(registers)}
        case Written(address=address, count=count):
            return {"dir": "response", "address": address, "count": count}
        case Refusal(code=code):
            return {"dir": "response", "exception": code, "meaning": exception_text(code)}


class _Framing(Protocol):
    def envelope(self, adu: Adu) -> dict[str, Any]: ...
    def explain(self, bad: Rejected) -> str: ...


class _Rtu:
    def envelope(self, adu: Adu) -> dict[str, Any]:
        return {"slave": adu.unit, "function": adu.pdu[0], "crc_ok": True}

    def explain(self, bad: Rejected) -> str:
        """Say what is wrong with bytes of which an answer or a request was expected."""
        reasons = [_rtu_fault(bad.raw, size_of) for size_of in (response_size, request_size)]
        return next(filter(None, reasons), bad.detail)


class _Ascii:
    def envelope(self, adu: Adu) -> dict[str, Any]:
        return {"slave": adu.unit, "function": adu.pdu[0], "lrc_ok": True}

    def explain(self, bad: Rejected) -> str:
        return bad.detail


class _Tcp:
    def envelope(self, adu: Adu) -> dict[str, Any]:
        head = {"transaction": adu.transaction, "protocol_id": 0, "length": len(adu.pdu) + 1, "unit": adu.unit}
        return {**head, "function": adu.pdu[0], "length_ok": True}

    def explain(self, bad: Rejected) -> str:
        fault = mbap_fault(bad.raw[:6])
        if fault or len(bad.raw) < 6:
            return fault or f"short frame: {len(bad.raw)} bytes of the 6 that tell its length"
        return f"short frame: length says {int.from_bytes(bad.raw[4:6], 'big')} bytes, {len(bad.raw) - 6} came"


def _rtu_fault(raw: bytes, size_of: SizeOf) -> str:
    """Return what is wrong if these bytes are one frame that begins here; else an empty text."""
    try:
        size = size_of(raw[1:])
    except FrameInvalid:
        return ""
    if size is None or len(raw) < size + 3:
        return short_text(raw[1:], size)
    if len(raw) > size + 3:
        return ""
    return f"crc is {raw[-2:].hex()}, must be {crc16(raw[:-2]).to_bytes(2, 'little').hex()}"
