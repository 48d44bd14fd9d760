"""Every error of gatefleet says whose fault it is, whether trying again may help, where it is and what cures it."""

from enum import StrEnum
from typing import ClassVar


class Whose(StrEnum):
    """Whose fault: ours (a bug or a setting), theirs (a peer broke its word), or nobody's (a no was right)."""

    LOCAL = "local"
    REMOTE = "remote"
    REFUSED = "refused"


class GatefleetError(Exception):
    """The root of the tree. `code` is stable across processes and releases; `BY_CODE` maps it back to the class."""

    code: ClassVar[str] = "internal"
    retriable: ClassVar[bool] = False
    whose: ClassVar[Whose] = Whose.LOCAL
    BY_CODE: ClassVar[dict[str, type["GatefleetError"]]] = {}

    def __init_subclass__(cls) -> None:
        taken = GatefleetError.BY_CODE.setdefault(cls.code, cls)
        if "code" in cls.__dict__ and taken is not cls and taken.__qualname__ != cls.__qualname__:
            raise TypeError(f"error code {cls.code!r} is taken by {taken.__qualname__}")

    def __init__(self, detail: str, *, place: str = "", cure: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.place = place
        self.cure = cure

    def __str__(self) -> str:
        text = f"{self.place}: {self.detail}" if self.place else self.detail
        return f"{text} ({self.cure})" if self.cure else text


class ConfigInvalid(GatefleetError):
    """A configuration cannot be used; `detail` lists every mistake."""

    code = "config_invalid"


class FrameInvalid(GatefleetError):
    """Bytes from a peer that break its protocol."""

    code = "frame_invalid"
    whose = Whose.REMOTE
    retriable = True


class LinkLost(GatefleetError):
    """The connection to a peer is gone, or could not be made."""

    code = "link_lost"
    whose = Whose.REMOTE
    retriable = True


class DeviceSilent(GatefleetError):
    """A device did not answer in time."""

    code = "device_silent"
    whose = Whose.REMOTE
    retriable = True


class DeviceRefused(GatefleetError):
    """A device answered no, such as a Modbus exception."""

    code = "device_refused"
    whose = Whose.REFUSED


class Unsupported(GatefleetError):
    """The command or feature is not one that this device or profile has."""

    code = "unsupported"
    whose = Whose.REFUSED


class NotFound(GatefleetError):
    """Nothing bears that name."""

    code = "not_found"
    whose = Whose.REFUSED


class BufferFull(GatefleetError):
    """The quota is used up by vital entries, which are never dropped."""

    code = "buffer_full"
    retriable = True


class BufferUnavailable(GatefleetError):
    """The buffer cannot commit now: full or failing disk."""

    code = "buffer_unavailable"
    retriable = True


class SignatureInvalid(GatefleetError):
    """A signature does not fit its content and key."""

    code = "signature_invalid"
    whose = Whose.REFUSED


class CommandExpired(GatefleetError):
    """A command reached its edge after its time."""

    code = "command_expired"
    whose = Whose.REFUSED


class MessageInvalid(GatefleetError):
    """A message on the wire that does not follow docs/wire.md."""

    code = "message_invalid"
    whose = Whose.REMOTE


class ListRefused(GatefleetError):
    """A list snapshot or delta that may not be applied: tampered, older, or with a gap before it."""

    code = "list_refused"
    whose = Whose.REFUSED
