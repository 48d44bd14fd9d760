"""Cameras that push their events: WS-BaseNotification `Notify`, one POST for one or more messages.

    POST /<device> HTTP/1.1    <s:Envelope><s:Body><wsnt:Notify><wsnt:NotificationMessage>...

The one who subscribes gives the camera this address as its consumer. A Notify is one-way: the answer is empty.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from core.errors import FrameInvalid, GatefleetError
from drivers.base import Answer, Decode, Driver, Pushed, PushParser, Request, Settings
from drivers.facts import DeviceSignal, PeopleCounted, PlateRead
from drivers.markup import MAX_BYTES
from drivers.onvif_topics import ANY_TOPIC, TopicTable, facts_of, notified, reports
from drivers.profile import Profile, checked_map

_END: Final = re.compile(rb"</(?:[A-Za-z_][\w.-]{0,60}:)?Envelope\s{0,60}>")
_LONGEST_END: Final = 140
"""Bytes of the longest end tag that is looked for."""


@dataclass(frozen=True, slots=True)
class NotifyParser:
    """Notify bodies -> facts, by a topic table."""

    table: TopicTable

    def receive(self, request: Request) -> Pushed:
        """Return what a Notify says; one message that means nothing here does not spoil the others."""
        if request.method != "POST":
            return _refused(405, f"a Notify comes by POST, not by {request.method[:16]}")
        try:
            told = notified(request.body)
        except GatefleetError as error:
            return _refused(400, error.detail)
        facts = tuple(fact for message in told.messages for fact in facts_of(message, self.table))
        return Pushed(facts, Answer(media_type="application/soap+xml"))


def _refused(status: int, detail: str) -> Pushed:
    return Pushed((), Answer(status, detail.encode(), "text/plain"), rejected=(detail,))


class _Envelopes:
    """SOAP envelopes one after another, in any cut -> their messages; holds at most one envelope and its cap."""

    def __init__(self, table: TopicTable) -> None:
        self._table = table
        self._rest = b""

    def __call__(self, data: bytes) -> list[dict[str, Any]]:
        """Return the messages of the envelopes that are whole; raise FrameInvalid or SoapFault."""
        looked = max(0, len(self._rest) - _LONGEST_END)
        self._rest += data
        found: list[dict[str, Any]] = []
        while end := _END.search(self._rest, looked):
            whole, self._rest, looked = self._rest[: end.end()], self._rest[end.end() :], 0
            told = notified(whole.strip())
            if not told.messages:
                raise FrameInvalid(f"no message with data ({len(told.dropped)} without)")
            found += (reports(message, self._table) for message in told.messages)
        self._rest = self._rest.lstrip()
        if len(self._rest) > MAX_BYTES or (self._rest and not self._rest.startswith((b"<", b"\xef"))):
            start, self._rest = self._rest[:16], b""
            raise FrameInvalid(f"not a SOAP envelope: {start!r}")
        return found


def _make(profile: Profile, settings: Settings) -> PushParser:  # noqa: ARG001 it has no settings of its own
    return NotifyParser(checked_map(profile, TopicTable))


def _decoder(profile: Profile | None) -> Decode:
    return _Envelopes(checked_map(profile, TopicTable) if profile else ANY_TOPIC)


DRIVER = Driver(
    name="onvif-event",
    kind="camera",
    settings=Settings,
    make=_make,
    commands=frozenset(),
    facts=frozenset({DeviceSignal, PeopleCounted, PlateRead}),
    links=frozenset({"http-server"}),
    decoder=_decoder,
)
