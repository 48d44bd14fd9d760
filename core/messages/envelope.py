"""CloudEvents 1.0 in the JSON batch format, with the extension attributes of docs/wire.md.

An edge packs an event before it knows its place in the buffer; the place (`epoch`, `stream`, `seq`) is written in
front when the entry leaves, so that the bulk of the JSON is made once:

    {"specversion":"1.0","id":E.S.N,"source":EDGE,"epoch":E,"stream":S,"seq":"N",["after":"M",]  <- place
     "type":..,"time":..,"subject":..,"bootid":..,"monotonic":..,"clocksource":..,"data":{..}}   <- packed

`seq`, `after` and `monotonic` are strings of digits: a CloudEvents integer has 32 bits (CloudEvents 1.0, type system).
`after` is the seq that this entry follows, written only where the buffer has dropped what stood between.
Central reads them with `central.envelope`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from pydantic_core import from_json, to_json

from core.messages.event import Event, Stream

MAX_BATCH_BYTES: Final = 8 * 1024 * 1024
"""The most that one unpacked batch may hold: a peer must not make the centre allocate more."""


class ClockSource(StrEnum):
    """What disciplines the edge's clock."""

    NTP = "ntp"
    GNSS = "gnss"
    CENTRAL = "central"
    RTC = "rtc"
    UNSYNCED = "unsynced"


@dataclass(frozen=True, slots=True)
class Stamp:
    """When something happened, as the edge's own clocks said; raw stamps are never rewritten."""

    wall: datetime
    """UTC."""
    monotonic_ms: int
    boot_id: str
    source: ClockSource
    offset_ms: int
    """What must be added to `wall` to get central's time, as far as the edge knows."""
    error_ms: int


@dataclass(frozen=True, slots=True)
class Packed:
    """An event as the buffer keeps it. `key` tells which older `state` entries it supersedes."""

    stream: Stream
    key: str
    body: bytes


def iso_ms(moment: datetime) -> str:
    """Return RFC 3339 UTC with milliseconds and `Z`."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def pack(event: Event, stamp: Stamp) -> Packed:
    """Pack an event and its stamp for the buffer."""
    return _packed(event, *_moment(stamp))


def pack_all(events: Iterable[Event], stamp: Stamp) -> list[Packed]:
    """Pack events that happened at one moment; cheaper than one by one."""
    before, after = _moment(stamp)
    return [_packed(event, before, after) for event in events]


def _moment(stamp: Stamp) -> tuple[bytes, bytes]:
    """Return what stands before and after the subject in every event of a moment."""
    rest = {
        "datacontenttype": "application/json",
        "bootid": stamp.boot_id,
        "monotonic": str(stamp.monotonic_ms),
        "clocksource": stamp.source.value,
        "clockoffset": stamp.offset_ms,
        "clockerror": stamp.error_ms,
    }
    return b'","time":"%b","subject":' % iso_ms(stamp.wall).encode(), b",%b" % to_json(rest)[1:-1]


def _packed(event: Event, before: bytes, after: bytes) -> Packed:
    kind, subject = event.TYPE, event.subject()
    data = event.__pydantic_serializer__.to_json(event)
    body = b'{"type":"%b%b%b%b,"data":%b}' % (kind.encode(), before, to_json(subject), after, data)
    return Packed(event.STREAM, f"{kind}:{subject}", body)


def place(
    body: bytes, *, source: str, epoch: str, stream: str, seq: int, after: int, acked: int | None = None
) -> bytes:
    """Return the whole CloudEvent of a packed body at its place; `acked` is what central said to have, once a batch."""
    gap = "" if after == seq - 1 else f'"after":"{after}",'
    if acked is not None:
        gap += f'"acked":"{acked}",'
    front = (
        f'{{"specversion":"1.0","id":"{epoch}.{stream}.{seq}","source":"{source}",'
        f'"epoch":"{epoch}","stream":"{stream}","seq":"{seq}",{gap}'
    )
    return front.encode() + body[1:]


def join_batch(events: Iterable[bytes]) -> bytes:
    """Return the CloudEvents JSON batch of whole events."""
    return b"[" + b",".join(events) + b"]"


def packed_event(body: bytes) -> tuple[str, dict[str, Any]]:
    """Return (type, data) of a packed body, for a technician's eye."""
    whole = from_json(body)
    return whole["type"], whole["data"]
