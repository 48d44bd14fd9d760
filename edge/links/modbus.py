"""The owner of one Modbus connection or serial line: polls its units, puts commands ahead, keeps the sick apart.

Promises
1. One request on the bus at a time; on a serial line the silence before each is kept.
2. A command goes ahead of every poll: it waits for the one request in flight and for older commands, for nothing else.
3. A write is sent once. If its answer does not come, DeviceSilent says that nobody knows what the device did.
4. Polls keep their rate: no drift, no bursts; a missed tick is skipped and counted.
5. One sick device hurts nobody: a unit that misses is asked for one block only; all that may be silent share a quarter
   of the bus's time, all that are known to be a twentieth, ever more rarely. One answer makes a unit well.
6. Nothing here connects again: when the link is lost, `run` raises LinkLost, and so does every waiting command.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from core.errors import ConfigInvalid, DeviceRefused, DeviceSilent, FrameInvalid, GatefleetError, LinkLost
from drivers.base import Poll, Write
from drivers.modbus_client import Asker, Question, question
from drivers.modbus_pdu import REFUSED, answer_values, exception_text, poll_request, write_request
from edge.links.modbus_health import Counters, Life, Timing, UnitHealth
from edge.links.modbus_schedule import Slot
from edge.links.modbus_ward import Block, OnBlock, OnHealth, Patient, Ward
from edge.links.modbus_wire import Clock, Opener, Wire

__all__ = ["Bus", "Counters", "Life", "Timing", "Unit", "UnitHealth"]

_GATEWAY_SILENT: Final = (10, 11)
"""Exceptions by which a gateway says that the unit behind it is silent."""


@dataclass(slots=True, eq=False)
class _Job:
    """A command: requests that are sent one after the other, once."""

    patient: Patient
    questions: tuple[Question, ...]
    deadline_s: float
    done: asyncio.Future[list[tuple[int, ...]]]

    def fail(self, error: GatefleetError) -> None:
        """Tell the caller, unless it knows already or has gone."""
        if not self.done.done():
            self.done.set_exception(error)


class Unit:
    """One device's place on a bus; made by `Bus.attach`."""

    def __init__(self, bus: "Bus", patient: Patient) -> None:
        self.patient = patient
        self._bus = bus

    @property
    def health(self) -> UnitHealth:
        """Return how the unit is."""
        return self.patient.health

    @property
    def counters(self) -> Counters:
        """Return what was counted while asking this unit; it lives on."""
        return self.patient.counters

    async def write(self, writes: Sequence[Write], *, timeout_s: float) -> None:
        """Do writes, in order, ahead of all polls; raise DeviceSilent, DeviceRefused or LinkLost. Never repeats one."""
        questions = tuple(question(self.patient.number, write_request(write)) for write in writes)
        await self._bus.submit(self.patient, questions, timeout_s)

    async def read_now(self, poll: Poll, *, timeout_s: float = 2.0) -> Sequence[int]:
        """Return a block, read ahead of all polls; raise DeviceSilent, DeviceRefused or LinkLost."""
        asked = question(self.patient.number, poll_request(poll))
        await asyncio.sleep(self._bus.lateness_s(self.patient))
        (values,) = await self._bus.submit(self.patient, (asked,), timeout_s)
        return values


class Bus:
    """One connection and its units. `run` serves it; all else may be called at any time on the same loop."""

    def __init__(
        self,
        *,
        name: str,
        open_transport: Opener,
        framing: Callable[[], Asker],
        timing: Timing,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self._open = open_transport
        self._framing = framing
        self._timing = timing
        self._clock = clock
        self._asker = framing()
        self._ward = Ward(timing=timing, numbered=self._asker.numbered, jitter=jitter)
        self._jobs: deque[_Job] = deque()
        self._wire: Wire | None = None
        self._ready = asyncio.Event()
        self._settle_by_s = 0.0
        self._hush_until_s = 0.0
        self._silent_at_s: dict[int, float] = {}

    @property
    def connected(self) -> bool:
        """Tell whether commands can be sent."""
        return self._wire is not None

    @property
    def counters(self) -> Counters:
        """Return the sums over the units."""
        total = Counters()
        for patient in self._ward.patients:
            total.add(patient.counters)
        return total

    def attach(
        self,
        unit: int,
        polls: Sequence[Poll],
        *,
        on_block: OnBlock,
        on_health: OnHealth,
        timeout_s: float | None = None,
    ) -> Unit:
        """Add a device; its polls begin now or with the next connection. Raises ConfigInvalid for what cannot be read.

        `on_block` and `on_health` are called on the loop and must be quick; `on_block` may raise FrameInvalid.
        """
        if unit == 0 and polls and not self._asker.numbered:
            raise ConfigInvalid("unit 0 is everybody: it cannot be polled", place=self.name)
        if idle := [poll.name for poll in polls if poll.interval_ms <= 0]:
            raise ConfigInvalid(f"polls without an interval: {', '.join(idle)}", place=self.name)
        asked = [(poll, question(unit, poll_request(poll))) for poll in polls]
        patience_s = self._timing.timeout_s if timeout_s is None else timeout_s
        patient = Patient(unit, patience_s, on_block, on_health, UnitHealth(unit, Life.UNKNOWN))
        self._ward.admit(patient, asked)
        if self._wire:
            self._ward.begin(patient, self._clock())
            self._wire.wake()
        return Unit(self, patient)

    def detach(self, unit: Unit) -> None:
        """Take a device off; its commands that are not sent yet raise LinkLost."""
        self._ward.discharge(unit.patient)
        for job in [job for job in self._jobs if job.patient is unit.patient]:
            self._jobs.remove(job)
            job.fail(LinkLost("the device was taken off its bus: nothing was sent", place=self.name))

    async def run(self) -> None:
        """Connect and serve until the link is lost: raises LinkLost."""
        wire = self._wire = await self._connect()
        try:
            for patient in self._ward.patients:
                self._ward.begin(patient, self._clock())
            self._ready.set()
            while True:
                await self._keep_silence(wire)
                if self._jobs:
                    await self._do(wire, self._jobs.popleft())
                    continue
                slot, wait_s = self._ward.next(self._clock())
                if slot is not None:
                    await self._poll(wire, slot)
                else:
                    await wire.idle(wait_s)
        finally:
            self._wire = None
            self._ready.clear()
            self._end()
            await wire.close()

    async def ready(self) -> None:
        """Wait until commands can be sent."""
        await self._ready.wait()

    async def submit(
        self, patient: Patient, questions: tuple[Question, ...], timeout_s: float
    ) -> list[tuple[int, ...]]:
        """Do requests ahead of all polls; return their values. Raises DeviceSilent, DeviceRefused or LinkLost."""
        if self._wire is None:
            raise LinkLost("not connected: nothing was sent", place=self.name)
        done: asyncio.Future[list[tuple[int, ...]]] = asyncio.get_running_loop().create_future()
        self._jobs.append(_Job(patient, questions, self._clock() + timeout_s, done))
        self._wire.wake()
        return await done

    def lateness_s(self, patient: Patient) -> float:
        """Return how long a late answer of this unit may still come and be taken for another's."""
        if self._asker.numbered or patient.number not in self._silent_at_s:
            return 0.0
        return max(0.0, self._silent_at_s[patient.number] + patient.timeout_s - self._clock())

    async def _connect(self) -> Wire:
        self._asker = self._framing()
        wire = Wire(self._asker, name=self.name, clock=self._clock)
        try:
            async with asyncio.timeout(self._timing.connect_s):
                await self._open(lambda: wire)
                await wire.opened.wait()
        except OSError as error:
            await wire.close()
            raise LinkLost(f"cannot connect: {str(error) or 'no answer in time'}", place=self.name) from error
        return wire

    def _end(self) -> None:
        for job in self._jobs:
            job.fail(LinkLost("the link was lost: the command was not sent", place=self.name))
        self._jobs.clear()
        self._ward.end("no link")

    async def _keep_silence(self, wire: Wire) -> None:
        """Wait for the silence that the line needs; a line that never falls silent is not waited for."""
        limit_s = self._clock() + self._timing.timeout_s
        while True:
            now_s = self._clock()
            silence_s = self._timing.settle_s if now_s < self._settle_by_s else self._timing.gap_s
            wait_s = max(wire.heard_at_s + silence_s, self._hush_until_s) - now_s
            if wait_s <= 0 or now_s >= limit_s:
                self._settle_by_s = 0.0
                return
            await wire.idle(wait_s)

    async def _do(self, wire: Wire, job: _Job) -> None:
        """Do a command; its caller is told in any case, and the link's loss goes on to `run`."""
        values: list[tuple[int, ...]] = []
        try:
            for number, asked in enumerate(job.questions, 1):
                if number > 1:
                    await self._keep_silence(wire)
                if job.done.done():
                    return
                left_s = job.deadline_s - self._clock()
                if left_s <= 0:
                    job.fail(DeviceSilent(f"no time was left: request {number} of {len(job.questions)} was not sent"))
                    return
                values.append(await self._command(wire, job.patient, asked, min(left_s, job.patient.timeout_s)))
            if not job.done.done():
                job.done.set_result(values)
        except (DeviceSilent, DeviceRefused) as error:
            job.fail(error)
        finally:
            job.fail(LinkLost("the link was lost with the command under way: its effect is unknown", place=self.name))

    async def _command(self, wire: Wire, patient: Patient, asked: Question, timeout_s: float) -> tuple[int, ...]:
        if patient.number == 0 and not self._asker.numbered:
            wire.tell(asked)
            patient.counters.requests += 1
            self._hush_until_s = self._clock() + self._timing.turnaround_s
            return ()
        began_s = self._clock()
        try:
            values = await self._ask(wire, patient, asked, timeout_s)
        except DeviceRefused:
            self._ward.answered(patient, None, self._clock())
            raise
        except (DeviceSilent, FrameInvalid) as error:
            now_s = self._clock()
            self._ward.missed(patient, None, now_s, now_s - began_s, error.detail)
            place = f"{self.name} unit {patient.number}"
            raise DeviceSilent(f"{error.detail}: its effect is unknown", place=place) from error
        self._ward.answered(patient, None, self._clock())
        return values

    async def _poll(self, wire: Wire, slot: Slot[Block]) -> None:
        block, began_s = slot.item, self._clock()
        patient, complaint = block.patient, ""
        try:
            values = await self._ask(wire, patient, block.question, patient.timeout_s)
        except DeviceRefused as error:
            complaint = error.detail
        except (DeviceSilent, FrameInvalid) as error:
            now_s = self._clock()
            self._ward.missed(patient, slot, now_s, now_s - began_s, error.detail)
            if self._ward.hopeless(patient):
                raise LinkLost("every unit is silent", place=self.name) from error
            return
        else:
            complaint = patient.deliver(block.poll, values)
        self._ward.answered(patient, slot, self._clock(), complaint)

    async def _ask(self, wire: Wire, patient: Patient, asked: Question, timeout_s: float) -> tuple[int, ...]:
        """Return an answer's values; raise DeviceSilent, FrameInvalid, DeviceRefused or LinkLost. Counts."""
        counters, asker, timing = patient.counters, self._asker, self._timing
        mismatches, garbled = asker.mismatches, asker.garbled
        counters.requests += 1
        try:
            pdu = await wire.ask(asked, timeout_s + timing.char_s * (len(asked.pdu) + asked.size + 6))
        except DeviceSilent:
            counters.timeouts += 1
            self._silent_at_s[patient.number] = self._clock()
            raise
        finally:
            counters.mismatches += asker.mismatches - mismatches
            if asker.garbled > garbled:
                counters.garbled += asker.garbled - garbled
                self._settle_by_s = self._clock() + timing.timeout_s
        if not pdu[0] & REFUSED:
            return answer_values(asked.request, pdu)
        counters.exceptions += 1
        if pdu[1] in _GATEWAY_SILENT:
            raise DeviceSilent(exception_text(pdu[1]))
        raise DeviceRefused(f"function {asked.pdu[0]}: {exception_text(pdu[1])}")
