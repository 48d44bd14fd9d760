"""A barrier at a camera's contacts <-> ISAPI requests, from its profile.

- inputs: which alarm input is which contact, by its number from 1
- outputs: for each move the steps that make it: the camera's gate is told `open` or `close`, or an alarm output is set
  high or low, some time after the step before (a pulse is high, then low)
- arm_channel: whose `barrierGateStatus` says where the arm is, where no end switch is wired to an alarm input
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from core.errors import FrameInvalid
from core.messages.commands import DeviceCommand
from drivers.barrier.commands import BarrierCommand
from drivers.barrier.contacts import Board, Contacts, Moves, Section, Travel
from drivers.facts import Fact
from drivers.hik_barrier.answers import arm_of, ports_of

INPUTS: Final = "/ISAPI/System/IO/status"
DEVICE_INFO: Final = "/ISAPI/System/deviceInfo"
_NAMESPACE: Final = "http://www.isapi.org/ver20/XMLSchema"
_HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>'
_Channel = Annotated[int, Field(ge=1, le=64)]


@dataclass(frozen=True, slots=True)
class Put:
    """One order to the camera; `after_ms` after the one before."""

    path: str
    body: bytes
    after_ms: int = 0


class GateStep(Section):
    """The camera's gate is told to open or to close."""

    gate: Literal["open", "close"]
    channel: _Channel = 1
    after_ms: int = Field(default=0, ge=0, le=1_000)

    @property
    def put(self) -> Put:
        """Return it as a request."""
        body = f"{_HEAD}<BarrierGate><ctrlMode>{self.gate}</ctrlMode></BarrierGate>"
        return Put(f"/ISAPI/Parking/channels/{self.channel}/barrierGate", body.encode(), self.after_ms)


class OutputStep(Section):
    """An alarm output is set."""

    output: _Channel
    state: Literal["high", "low"]
    after_ms: int = Field(default=0, ge=0, le=1_000)

    @property
    def put(self) -> Put:
        """Return it as a request."""
        state = f"<outputState>{self.state}</outputState>"
        body = f'{_HEAD}<IOPortData version="2.0" xmlns="{_NAMESPACE}">{state}</IOPortData>'
        return Put(f"/ISAPI/System/IO/outputs/{self.output}/trigger", body.encode(), self.after_ms)


Step = GateStep | OutputStep
_Steps = Annotated[tuple[Step, ...], Field(min_length=1, max_length=4)]


class CameraOutputs(Moves):
    """The steps of each move."""

    raise_arm: _Steps
    lower_arm: _Steps
    light_on: tuple[Step, ...] = Field(default=(), max_length=4)
    light_off: tuple[Step, ...] = Field(default=(), max_length=4)


class CameraBarrierMap(Section):
    """The `map` of a profile."""

    inputs: Contacts
    outputs: CameraOutputs
    travel: Travel = Travel()
    arm_channel: _Channel | None = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if wrong := sorted(name for name, place in self.inputs.named.items() if place < 1):
            raise ValueError(f"alarm inputs are numbered from 1: {', '.join(wrong)}")
        if self.arm_channel is not None and self.inputs.arm:
            raise ValueError("the arm is told by its switches or by arm_channel, not by both")
        return self


class CameraBarrier(Board):
    """One barrier at a camera's contacts."""

    def __init__(self, layout: CameraBarrierMap) -> None:
        inputs, channel = layout.inputs, layout.arm_channel
        tells_arm = bool(inputs.arm) or channel is not None
        super().__init__(inputs, layout.travel, tells_arm=tells_arm, has_light=bool(layout.outputs.light_on))
        self.interval_s = inputs.interval_ms / 1000
        arm = () if channel is None else (f"/ISAPI/Parking/channels/{channel}/barrierGate/barrierGateStatus",)
        self.looks: tuple[str, ...] = (INPUTS, *arm)
        """What to GET for one look, in order."""
        self._outputs = layout.outputs

    def observe(self, answers: Sequence[bytes]) -> tuple[Fact, ...]:
        """Return the barrier's state from the answers of one look; raise FrameInvalid.

        A barrier whose camera has no signal of the arm is one that tells of none.
        """
        ports = ports_of(answers[0])
        try:
            return self.seen(ports.__getitem__, arm_of(answers[1]) if len(answers) > 1 else None)
        except KeyError as error:
            raise FrameInvalid(f"the camera tells of no input {error}, the profile has it", place=INPUTS) from None

    def puts(self, command: DeviceCommand | BarrierCommand) -> tuple[Put, ...]:
        """Return the requests of a command, in order; raise Unsupported where there is none."""
        return tuple(step.put for step in self._outputs.of(command))
