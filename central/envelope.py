"""CloudEvents as central reads them: the JSON batch format with the attributes of docs/wire.md.

Here msgspec decodes, and `data` stays the bytes that came: they are what is stored, and a typed event is made straight
from them. By pydantic the same took seven times the processor time, most of what ingest took (docs/decisions/0007).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct
from pydantic import ValidationError
from pydantic_core import to_json

import core.messages.known  # noqa: F401 (so that every event is known to `read_event`)
from core.errors import MessageInvalid
from core.messages.envelope import MAX_BATCH_BYTES, ClockSource
from core.messages.event import Event, Stream

_OBJECT: Final = ord("{")

_Text26 = Annotated[str, Meta(max_length=26)]
_Text64 = Annotated[str, Meta(max_length=64)]
_Text96 = Annotated[str, Meta(max_length=96)]
_Text128 = Annotated[str, Meta(max_length=128)]


class Envelope(Struct, frozen=True, gc=False):
    """One CloudEvent; `data` is checked against its type apart (`read_event`). Unknown attributes are ignored."""

    specversion: Annotated[str, Meta(pattern=r"^1\.0$")]
    id: _Text96
    source: _Text96
    type: _Text128
    time: datetime
    subject: _Text128
    epoch: _Text26
    stream: Stream
    seq: Annotated[int, Meta(ge=1)]
    bootid: _Text64
    monotonic: int
    clocksource: ClockSource
    clockoffset: int
    clockerror: int
    data: Raw
    """A JSON object, as it came."""
    after: Annotated[int, Meta(ge=0)] | None = None
    acked: Annotated[int, Meta(ge=0)] | None = None

    @property
    def follows(self) -> int:
        """Return the seq this one comes right after."""
        return self.seq - 1 if self.after is None else self.after


# Not strict: numbers may be strings of digits, as CloudEvents wants of those over 32 bits.
_BATCH: Final = msgspec.json.Decoder(list[Envelope], strict=False)
_ONE: Final = msgspec.json.Decoder(Envelope, strict=False)


def read_batch(raw: bytes) -> Sequence[Envelope]:
    """Read a batch; raise MessageInvalid, naming the first place that is wrong."""
    if len(raw) > MAX_BATCH_BYTES:
        raise MessageInvalid(f"a batch of {len(raw)} bytes is over the limit of {MAX_BATCH_BYTES}")
    try:
        raw.decode()  # what is kept raw is not looked into
        return _objects(_BATCH.decode(raw))
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise MessageInvalid(f"not a batch of CloudEvents: {error}", place="batch") from error


def read_entry(item: Any) -> Envelope:
    """Return an entry of a batch that was parsed already; raise MessageInvalid."""
    try:
        return _objects([_ONE.decode(to_json(item))])[0]
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise MessageInvalid(f"not a CloudEvent: {error}") from error


def _objects(entries: Sequence[Envelope]) -> Sequence[Envelope]:
    for number, entry in enumerate(entries):
        if memoryview(entry.data)[0] != _OBJECT:
            raise ValueError(f"data is no object - at `$[{number}].data`")
    return entries


def read_event(kind: str, data: bytes | str) -> Event | None:
    """Return the typed event of some data; None where the type is unknown here.

    Raises MessageInvalid where the data does not fit.
    """
    known = Event.KNOWN.get(kind)
    if known is None:
        return None
    try:
        return known.__pydantic_validator__.validate_json(data)  # type: ignore[no-any-return]  # it is of its class
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in ("data", *first["loc"]))
        raise MessageInvalid(f"{kind}: {first['msg']}", place=place) from error
