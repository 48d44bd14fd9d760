"""Who may see a camera's live picture where, and who did; `events.py` says how events are made and changed."""

from typing import ClassVar, Literal

from pydantic import AwareDatetime, Field

from core.messages.event import DeviceEvent, Stream


class CameraOffered(DeviceEvent):
    """Where a camera's live picture can be had; told at start, for each camera."""

    STREAM: ClassVar[Stream] = Stream.STATE

    live_url: str = Field(default="", max_length=256)
    """The address that goes before `/live/{camera}`; empty: its edge shows none."""


class ViewOpened(DeviceEvent):
    """A grant was redeemed: somebody may look from now on (audit). Durable before anything is shown."""

    view: str
    """The grant's id."""
    actor: str
    granted_by: Literal["central", "local"]
    until: AwareDatetime


class ViewEnded(DeviceEvent):
    """Somebody looks no more (audit)."""

    view: str
    why: str
    """left, over, idle, stopped."""
    seconds: float
    by_webrtc_s: float = 0.0
    pictures: int = 0
    """Still pictures that were sent."""
