"""One connection of a terminal: bytes -> facts and replies.

Promises: nothing but registration and authentication is taken before a right authentication code; after a wrong one
nothing is taken any more; a terminal is one number and one header version for the whole connection; a position's
confirmation is the `ack` of its report, so that it leaves after the commit; a batch is confirmed with its last one.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import ClassVar, Final

from core.errors import DeviceRefused, FrameInvalid
from core.messages.commands import DeviceCommand
from drivers.base import Output, Rejected, Reply, Report
from drivers.facts import DeviceDescribed, Fact
from drivers.jt808 import downlink, uplink
from drivers.jt808.admission import Admission
from drivers.jt808.commands import TellTime, TerminalCommand
from drivers.jt808.dialect import Dialect, Version
from drivers.jt808.facts import (
    CommandAnswered,
    MediaAnnounced,
    MediaReceived,
    ParametersAnswered,
    PassthroughReceived,
    TerminalAuthenticated,
    TerminalLeft,
    TerminalRegistered,
    TimeAsked,
    UpgradeAnswered,
)
from drivers.jt808.frame import Frame, FrameSplitter, encode_frame, encode_parts, parse_frame
from drivers.jt808.parts import Holes, Reassembler
from drivers.jt808.position import parse_batch, parse_position, position_taken
from drivers.jt808.questions import Asked, Questions

_KEEP_VERBS: Final = 32
_STRANGERS: Final = frozenset({0x0002, 0x0003, 0x0100, 0x0102})
_STRAYS: Final = 8
"""Refused messages of a stranger before the connection is given up."""
_RAW: Final = 64
_LATE: Final = 1
_PART_SIZE: Final = 1000


class LocatorCodec:
    """The protocol of one connection."""

    def __init__(self, dialect: Dialect, admission: Admission) -> None:
        self._dialect = dialect
        self._admission = admission
        self._splitter = FrameSplitter()
        self._parts = Reassembler(dialect.parts)
        self._peer: Frame | None = None
        self._version: Version = 2013
        self._authenticated = False
        self._closing = False
        self._strays = 0
        self._serial = 0
        self._verbs: dict[int, str] = {}
        self._questions = Questions()
        self._resendable: Frame | None = None

    @property
    def closing(self) -> bool:
        """Tell whether the peer was refused for good: the session shall hang up once the replies are written."""
        return self._closing

    @property
    def terminal(self) -> str:
        """Return the authenticated terminal's number; empty before."""
        return self._peer.terminal if self._peer is not None and self._authenticated else ""

    def receive(self, data: bytes) -> Sequence[Output]:
        """Return what the bytes complete."""
        if self._closing:
            return (Rejected("the connection was refused", data[:_RAW]),)
        out: list[Output] = []
        for chunk in self._splitter.feed(data):
            try:
                out += self._take(parse_frame(chunk, tolerate_length=self._dialect.tolerate_length))
            except FrameInvalid as error:
                out.append(Rejected(error.detail, chunk[:_RAW]))
                self._stray()
            if self._closing:
                break
        return out

    def overdue(self, now_ms: int) -> Sequence[Output]:
        """Ask again for parts that are late at `now_ms` of a clock that never goes back; call it every few seconds."""
        out: list[Output] = []
        for holes in self._parts.overdue(now_ms):
            if holes.given_up:
                missing = f"{len(holes.missing)} of {holes.total} parts never came"
                out.append(Rejected(f"message {holes.head.msg_id:04X}: {missing}", b""))
            else:
                out += self._ask_again(holes)
        return out

    def answer(self, fact: Fact, now: datetime) -> bytes:
        """Return the time where it was asked for (0x8004)."""
        if not isinstance(fact, TimeAsked) or not self._authenticated:
            return b""
        return self.send(TellTime(serial=fact.serial, at=now))

    def send(self, command: DeviceCommand | TerminalCommand) -> bytes:
        """Return a command's frames; raise DeviceRefused before authentication, Unsupported for what it has not."""
        return b"".join(self.ask(command).frames)

    def ask(self, command: DeviceCommand | TerminalCommand) -> Asked:
        """Make a command whose answer is looked for; raises as `send`."""
        if self._peer is None or not self._authenticated:
            raise DeviceRefused("the terminal has not authenticated", cure="wait for it, or check its code")
        msg_id, body = downlink.body_of(command, self._dialect, self._version)
        if isinstance(command, TellTime):  # nothing answers it
            return Asked(msg_id, self._serial, (self._frame(self._peer, msg_id, body),), outcome="")
        frame = self._peer._replace(msg_id=msg_id, body=body, serial=self._serial)
        frames = encode_parts(frame, _PART_SIZE)
        for _ in frames:
            self._verbs[self._serial] = command.verb
            self._serial = self._serial + 1 & 0xFFFF
        while len(self._verbs) > max(_KEEP_VERBS, len(frames)):
            del self._verbs[next(iter(self._verbs))]
        if len(frames) > 1:
            self._resendable = frame
        asked = Asked(msg_id, frame.serial, tuple(frames))
        self._questions.add(asked)
        return asked

    def _take(self, frame: Frame) -> Sequence[Output]:
        peer = self._peer
        if peer is not None and (frame.terminal, frame.v2019) != (peer.terminal, peer.v2019):
            raise FrameInvalid(f"terminal {frame.terminal} in the connection of {peer.terminal}")
        if not self._authenticated and frame.msg_id not in _STRANGERS:
            raise FrameInvalid(f"message {frame.msg_id:04X} before authentication")
        if frame.encryption:
            return self._bad(frame, f"encrypted ({frame.encryption})", downlink.UNSUPPORTED)
        if not frame.total:
            return self._handle(frame)
        if not self._authenticated:
            raise FrameInvalid(f"message {frame.msg_id:04X} in parts before authentication")
        pushed_out = self._parts.pushed_out
        whole = self._parts.take(frame)
        if whole is not None:
            return self._handle(whole)
        return self._kept(frame, pushed_out=self._parts.pushed_out - pushed_out)

    def _handle(self, frame: Frame) -> Sequence[Output]:
        handler = self._HANDLERS.get(frame.msg_id)
        if handler is None:
            return (self._confirm(frame, downlink.UNSUPPORTED),)
        try:
            return handler(self, frame)
        except FrameInvalid as error:
            return self._bad(frame, f"message {frame.msg_id:04X}: {error.detail}", downlink.BAD_MESSAGE)

    def _kept(self, part: Frame, *, pushed_out: int) -> Sequence[Output]:
        out: list[Output] = [Rejected("an unfinished message gave way to a newer one", b"") for _ in range(pushed_out)]
        return [*out, self._confirm(part)] if self._dialect.confirm_parts else out

    def _stray(self) -> None:
        self._strays += not self._authenticated
        self._closing = self._closing or self._strays >= _STRAYS

    def _frame(self, to: Frame, msg_id: int, body: bytes) -> bytes:
        serial, self._serial = self._serial, self._serial + 1 & 0xFFFF
        return encode_frame(Frame(msg_id, serial, to.terminal, body, to.v2019, to.protocol_version))

    def _ack(self, frame: Frame, result: int = downlink.DONE) -> bytes:
        return self._frame(frame, 0x8001, downlink.general_reply(frame.serial, frame.msg_id, result))

    def _confirm(self, frame: Frame, result: int = downlink.DONE) -> Reply:
        return Reply(self._ack(frame, result))

    def _bad(self, frame: Frame, detail: str, result: int) -> Sequence[Output]:
        self._stray()
        return (Rejected(detail, frame.body[:_RAW]), self._confirm(frame, result))

    def _ask_again(self, holes: Holes) -> Sequence[Output]:
        head = holes.head
        if head.msg_id == 0x0801 and len(holes.first) >= 4:
            return (Reply(self._frame(head, 0x8800, downlink.media_reply(holes.first[:4], holes.missing))),)
        if self._version == 2011:
            return ()
        return (Reply(self._frame(head, 0x8003, downlink.resend(head.serial, holes.missing, self._version))),)

    # What a stranger may say.

    def _register(self, frame: Frame) -> Sequence[Output]:
        told = uplink.registration(frame.body, self._dialect, v2019=frame.v2019)
        if not self._admission.may_register(frame.terminal):
            self._stray()
            refusal = downlink.registered(frame.serial, downlink.NO_SUCH_TERMINAL)
            return (
                Rejected(f"terminal {frame.terminal} is not listed", frame.body[:_RAW]),
                Reply(self._frame(frame, 0x8100, refusal)),
            )
        # Counted, so that nobody makes the edge commit registrations without end; authentication starts anew.
        self._stray()
        self._peer, self._version = frame._replace(body=b""), told.version
        answer = downlink.registered(frame.serial, downlink.DONE, self._admission.code(frame.terminal))
        fact = TerminalRegistered(terminal=frame.terminal, **told._asdict())
        return (Report(fact, self._frame(frame, 0x8100, answer)),)

    def _authenticate(self, frame: Frame) -> Sequence[Output]:
        told = uplink.authentication(frame.body, self._dialect, v2019=frame.v2019)
        if not self._admission.admits(frame.terminal, told.auth_code):
            self._authenticated, self._closing = False, True
            why = f"terminal {frame.terminal} has a wrong authentication code, or is not listed"
            return (Rejected(why, b""), self._confirm(frame, downlink.FAILED))
        if self._peer is None:
            self._peer = frame._replace(body=b"")
            self._version = 2019 if frame.v2019 else 2013
        self._authenticated, self._strays = True, 0
        return (Report(TerminalAuthenticated(frame.terminal, told.imei, told.software), self._ack(frame)),)

    def _heartbeat(self, frame: Frame) -> Sequence[Output]:
        if self._authenticated:
            return (self._confirm(frame),)
        self._stray()
        return (self._confirm(frame, downlink.FAILED),)

    def _leave(self, frame: Frame) -> Sequence[Output]:
        if not self._authenticated:
            return self._heartbeat(frame)
        self._authenticated = False
        return (Report(TerminalLeft(frame.terminal), self._ack(frame)),)

    # What only an authenticated terminal may say.

    def _fact(self, frame: Frame, fact: Fact) -> Sequence[Output]:
        return (Report(fact, self._ack(frame)),)

    def _position(self, frame: Frame) -> Sequence[Output]:
        return (Report(position_taken(parse_position(frame.body), frame.terminal), self._ack(frame)),)

    def _asked_position(self, frame: Frame) -> Sequence[Output]:
        position = parse_position(frame.body, 2)
        self._questions.told(frozenset({0x8201}), uplink.word(frame.body))
        return self._fact(frame, position_taken(position, frame.terminal))

    def _batch(self, frame: Frame) -> Sequence[Output]:
        batch = parse_batch(frame.body)
        rejected = [Rejected(f"message 0704: {mistake}", frame.body[:_RAW]) for mistake in batch.mistakes]
        if not batch.positions:
            return (*rejected, self._confirm(frame, downlink.BAD_MESSAGE if rejected else downlink.DONE))
        facts = [position_taken(one, frame.terminal, late=batch.kind == _LATE) for one in batch.positions]
        # What cannot be read would not be better the next time: the readable rest is kept and confirmed.
        return (*rejected, *map(Report, facts[:-1]), Report(facts[-1], self._ack(frame)))

    def _answered(self, frame: Frame) -> Sequence[Output]:
        told = uplink.general_reply(frame.body)
        verb = self._verbs.pop(told.reply_serial, "")
        self._questions.replied(told.reply_id, told.reply_serial, told.result)
        return (Report(CommandAnswered(frame.terminal, told.reply_serial, told.reply_id, told.result, verb)),)

    def _parameters(self, frame: Frame) -> Sequence[Output]:
        serial = uplink.word(frame.body)
        values: dict[str, int | str] = {}
        others: dict[str, str] = {}
        for parameter, raw in uplink.parameters(frame.body[2:]).items:
            value = uplink.parameter_value(parameter, raw, self._dialect)
            if value is None:
                others[f"{parameter:04x}"] = raw.hex()
            else:
                values[f"{parameter:04x}"] = value
        self._questions.told(frozenset({0x8104, 0x8106}), serial)
        return self._fact(frame, ParametersAnswered(frame.terminal, serial, values, others))

    def _described(self, frame: Frame) -> Sequence[Output]:
        told = uplink.attributes(frame.body, self._dialect, v2019=frame.v2019)
        fact = DeviceDescribed(vendor=told.maker, model=told.model, firmware=told.firmware, serial=told.device_id)
        self._questions.told(frozenset({0x8107}))
        return self._fact(frame, fact)

    def _upgraded(self, frame: Frame) -> Sequence[Output]:
        told = uplink.word(frame.body)
        self._questions.upgraded(told & 0xFF)
        return self._fact(frame, UpgradeAnswered(frame.terminal, told >> 8, told & 0xFF))

    def _announced(self, frame: Frame) -> Sequence[Output]:
        return self._fact(frame, MediaAnnounced(frame.terminal, *uplink.media_head(frame.body)))

    def _media(self, frame: Frame) -> Sequence[Output]:
        told = uplink.media(frame.body, self._dialect, self._version)
        answer = self._frame(frame, 0x8800, downlink.media_reply(frame.body[:4]))
        return (Report(MediaReceived(frame.terminal, *told.head, told.data), answer),)

    def _passthrough(self, frame: Frame) -> Sequence[Output]:
        if not frame.body:
            raise FrameInvalid("nothing to pass through")
        return self._fact(frame, PassthroughReceived(frame.terminal, frame.body[0], frame.body[1:]))

    def _time(self, frame: Frame) -> Sequence[Output]:
        return (Report(TimeAsked(frame.terminal, frame.serial)),)

    def _resend(self, frame: Frame) -> Sequence[Output]:
        wanted = uplink.resend(frame.body, v2019=frame.v2019)
        sent = self._resendable
        if sent is None or sent.serial != wanted.reply_serial:
            return (self._confirm(frame, downlink.FAILED),)
        frames = encode_parts(sent, _PART_SIZE)
        again = [frames[number - 1] for number in dict.fromkeys(wanted.numbers) if 1 <= number <= len(frames)]
        return (Reply(b"".join(again)),)

    _HANDLERS: ClassVar[dict[int, Callable[["LocatorCodec", Frame], Sequence[Output]]]] = {
        0x0001: _answered,
        0x0002: _heartbeat,
        0x0003: _leave,
        0x0004: _time,
        0x0005: _resend,
        0x0100: _register,
        0x0102: _authenticate,
        0x0104: _parameters,
        0x0107: _described,
        0x0108: _upgraded,
        0x0200: _position,
        0x0201: _asked_position,
        0x0704: _batch,
        0x0800: _announced,
        0x0801: _media,
        0x0900: _passthrough,
    }
