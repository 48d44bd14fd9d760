"""A display on its link: what it should show, shown again whenever it comes back.

Promises
1. `command` returns once the display has confirmed every line; it raises within `ANSWER_S` for each line at most.
2. One exchange at a time; what was to be shown last is shown again after the link was lost.
3. A display that answers nothing is silent, whatever its link does: it is asked every `EVERY_S`.
"""

import asyncio
from contextlib import suppress
from typing import Final, cast

from pydantic import BaseModel

from core.errors import DeviceRefused, DeviceSilent, LinkLost, Unsupported
from core.messages.commands import DeviceCommand
from drivers.base import Codec, Rejected, Reply, Report
from drivers.display import AskVersion, DisplayAnswered, ShowLines
from drivers.facts import Fact
from edge.board import Board, Finding
from edge.links.stream import Connection, Link
from edge.sections import DeviceSpec
from edge.session import Deliver

ANSWER_S: Final = 1.0
EVERY_S: Final = 20.0


class DisplaySession:
    """One display."""

    def __init__(
        self,
        spec: DeviceSpec,
        link: Link,
        board: Board,
        deliver: Deliver,
        *,
        answer_s: float = ANSWER_S,
        every_s: float = EVERY_S,
    ) -> None:
        self.spec = spec
        self._link = link
        self._board = board
        self._deliver = deliver
        self._answer_s = answer_s
        self._every_s = every_s
        self._connection: Connection | None = None
        self._codec: Codec | None = None
        self._turn = asyncio.Lock()
        self._heard = asyncio.Event()
        self._answer: Fact | None = None
        self._wanted: ShowLines | None = None

    async def run(self) -> None:
        """Connect and keep it shown; raises LinkLost, DeviceSilent, or DeviceRefused where the login is."""
        async with self._link.connect() as connection:
            self._connection = connection
            self._codec = cast("Codec", self.spec.driver.make(self.spec.profile, self.spec.settings))
            reading = asyncio.create_task(self._read(connection, self._codec), name=f"display.{self.spec.id}.read")
            asking = asyncio.create_task(self._keep(), name=f"display.{self.spec.id}.ask")
            try:
                await asyncio.wait((reading, asking), return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._connection = self._codec = None
                for task in (reading, asking):
                    task.cancel()
                ended = await asyncio.gather(reading, asking, return_exceptions=True)
            for error in ended:
                if isinstance(error, Exception):
                    raise error

    async def command(self, command: DeviceCommand | BaseModel) -> None:
        """Show lines; raise LinkLost, DeviceSilent, DeviceRefused or Unsupported; tried again on the next link."""
        if not isinstance(command, ShowLines):
            raise Unsupported(f"a display has no {type(command).__name__}", place=self.spec.id)
        self._wanted = command
        try:
            await self._show(command)
        except DeviceSilent as error:
            self.lost(error)
            raise

    def lost(self, error: Exception) -> None:
        """Note why it ended."""
        why = {"link": self.spec.link, "error": str(error)}
        match error:
            case DeviceSilent():
                finding = Finding("silent", why)
            case DeviceRefused():
                finding = Finding("login_refused", why)
            case _:
                finding = Finding("link_down", why)
        self._board.silent(self.spec.id, finding)

    async def _keep(self) -> None:
        """Ask what it is, show what was wanted, and ask now and then whether it is there."""
        await self._exchange(AskVersion())
        if self._wanted is not None:
            with suppress(DeviceRefused):
                await self._show(self._wanted)
        while True:
            await asyncio.sleep(self._every_s)
            await self._exchange(AskVersion())

    async def _show(self, command: ShowLines) -> None:
        """Show lines; what the card makes of them is told on the board."""
        finding = None
        try:
            await self._exchange(command)
        except DeviceRefused as error:
            finding = Finding("refuses", {"exception": error.detail})
            raise
        finally:
            self._board.noted(self.spec.id, "lines", finding)

    async def _exchange(self, command: ShowLines | AskVersion) -> None:
        async with self._turn:
            connection, codec = self._connection, self._codec
            if connection is None or codec is None:
                raise LinkLost("not connected", place=self.spec.link)
            self._answer = None
            await connection.write(codec.send(cast("DeviceCommand", command)))
            while self._answer is None:
                self._heard.clear()
                await self._patiently()
            if isinstance(self._answer, DisplayAnswered) and not self._answer.accepted:
                raise DeviceRefused(f"the card refuses: {self._answer.what}", place=self.spec.id)

    async def _patiently(self) -> None:
        """Wait for the next thing that it says."""
        try:
            async with asyncio.timeout(self._answer_s):
                await self._heard.wait()
        except TimeoutError as error:
            raise DeviceSilent(f"no answer within {self._answer_s:g} s", place=self.spec.link) from error

    async def _read(self, connection: Connection, codec: Codec) -> None:
        while data := await connection.read():
            for output in codec.receive(data):
                match output:
                    case Report(fact=fact):
                        self._answer = fact
                        self._heard.set()
                        self._board.fact(self.spec.id, fact)
                        await self._deliver(fact)
                    case Reply(data=reply):
                        await connection.write(reply)
                        self._heard.set()
                    case Rejected(detail=detail):
                        self._board.rejected(self.spec.id, detail)
        raise LinkLost("the display closed the connection", place=self.spec.link)
