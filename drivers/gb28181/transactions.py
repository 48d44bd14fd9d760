"""SIP transactions without dialogs (RFC 3261, 17): which answer belongs to what, and when to send again. No clock here.

Promises:
1. A request that comes again gets the very same answer, and is acted on once.
2. What is remembered is bounded: at most `MAX_KEPT` answers, the oldest go first.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from drivers.gb28181.sip import SipMessage, SipRequest

MAX_KEPT: Final = 512
_COOKIE: Final = "z9hG4bK"

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Timers:
    """T1 and T2 of RFC 3261, 17.1.1.1, in seconds."""

    t1_s: float = 0.5
    t2_s: float = 4.0

    @property
    def patience_s(self) -> float:
        """Timers B, F, H and J: how long a transaction lives."""
        return 64 * self.t1_s

    def pauses(self, *, reliable: bool) -> tuple[float, ...]:
        """Return the waits of timer E (and G) between sendings; after the last the patience is at an end."""
        if reliable:
            return (self.patience_s,)
        found: list[float] = []
        pause, left = self.t1_s, self.patience_s
        while left > 1e-9:
            found.append(min(pause, left))
            left -= pause
            pause = min(2 * pause, self.t2_s)
        return tuple(found)


def client_key(message: SipMessage) -> Key:
    """Return the name of the transaction at who asks: branch and method (17.1.3)."""
    return message.via.branch, message.cseq.method


def server_key(request: SipRequest) -> Key:
    """Return the name of the transaction at who answers (17.2.3); an ACK belongs to its INVITE."""
    via, method = request.via, "INVITE" if request.method == "ACK" else request.method
    if via.branch.startswith(_COOKIE):
        return via.branch, via.sent_by, method
    return via.branch, via.sent_by, method, request.call_id, str(request.cseq.number), request.sender.param("tag") or ""


class Answered:
    """Answers that were given, as long as their requests may come again."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._kept: OrderedDict[Key, tuple[float, bytes]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, key: Key, answer: bytes, now_s: float) -> None:
        """Remember an answer."""
        self._kept[key] = (now_s + self._patience_s, answer)
        self._kept.move_to_end(key)
        while len(self._kept) > MAX_KEPT or next(iter(self._kept.values()))[0] <= now_s:
            self._kept.popitem(last=False)
            if not self._kept:
                return

    def again(self, key: Key, now_s: float) -> bytes | None:
        """Return the answer that was given to the same request, None where it is new."""
        until, answer = self._kept.get(key, (now_s, b""))
        return answer if until > now_s else None
