"""A people counter that posts ISAPI PeopleCounting alerts: totals at each crossing, or one interval at a time."""

from dataclasses import dataclass
from typing import Final

from simulators.pushing import Misbehaviour, Pusher

_KIND: Final = 'application/xml; charset="UTF-8"'
_DTD: Final = '<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd">'


@dataclass(slots=True)
class PeopleCounter:
    """One counter over one line; `entered` and `left` are its totals, what physically happened."""

    pusher: Pusher
    region: int = 1
    entered: int = 0
    left: int = 0
    _told: tuple[int, int] = (0, 0)
    _since: str = ""

    def cross(self, entered: int = 0, left: int = 0) -> None:
        """Let people cross the line."""
        self._since = self._since or self.pusher.stamp()
        self.entered += entered
        self.left += left

    async def tell_totals(self) -> int:
        """Post what was counted since the reset."""
        inner = (
            f"<statisticalMethods>realTime</statisticalMethods><RealTime><time>{self.pusher.stamp()}</time></RealTime>"
        )
        return await self._post(inner, self.entered, self.left)

    async def tell_interval(self) -> int:
        """Post what was counted since the last interval."""
        begin, end = self._since or self.pusher.stamp(), self.pusher.stamp()
        times = f"<TimeRange><startTime>{begin}</startTime><endTime>{end}</endTime></TimeRange>"
        counts = self.entered - self._told[0], self.left - self._told[1]
        self._told, self._since = (self.entered, self.left), end
        return await self._post(f"<statisticalMethods>timeRange</statisticalMethods>{times}", *counts)

    def reset(self) -> None:
        """Begin to count anew, as the camera does at midnight."""
        self.entered = self.left = 0
        self._told = (0, 0)

    async def _post(self, inner: str, entered: int, left: int) -> int:
        pusher = self.pusher
        counts = f"<enter>{entered}</enter><exit>{left}</exit><regionsID>{self.region}</regionsID>"
        dtd = _DTD if pusher.is_bad(Misbehaviour.DTD) else ""
        pad = f"<!--{'x' * (9 << 20)}-->" if pusher.is_bad(Misbehaviour.OVERSIZE) else ""
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?>{dtd}<EventNotificationAlert version="1.0"'
            f' xmlns="urn:psialliance-org"><channelID>1</channelID><dateTime>{pusher.stamp()}</dateTime>{pad}'
            f"<eventType>PeopleCounting</eventType><eventState>active</eventState>"
            f"<peopleCounting>{inner}{counts}</peopleCounting></EventNotificationAlert>"
        )
        return await pusher.post(body.encode(), _KIND)
