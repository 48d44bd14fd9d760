"""What can go wrong in the technician's tool itself, and the exit status of everything that can."""

from enum import IntEnum

from core.errors import ConfigInvalid, GatefleetError, Whose


class Exit(IntEnum):
    """The exit status of `gatefleet`."""

    OK = 0
    FAILED = 1
    """Refused, failed, or not found."""
    USAGE = 2
    """A wrong command line or a bad configuration."""
    NO_DAEMON = 3
    NO_CENTRAL = 4
    INTERRUPTED = 130


class UsageWrong(GatefleetError):
    """The command line cannot be understood."""

    code = "usage"


class InputInvalid(GatefleetError):
    """A line or file that was given is not what the command takes."""

    code = "input_invalid"


class FrameIncomplete(GatefleetError):
    """The bytes are the beginning of a frame, or of none."""

    code = "frame_incomplete"
    whose = Whose.REMOTE


class NoDaemon(GatefleetError):
    """No edge daemon answers on this machine."""

    code = "no_daemon"
    retriable = True


class NotInstalled(GatefleetError):
    """The command belongs to a part that is not installed here."""

    code = "not_installed"


class CentralUnreachable(GatefleetError):
    """Central does not answer."""

    code = "central_unreachable"
    whose = Whose.REMOTE
    retriable = True


class OutcomeUnknown(GatefleetError):
    """An action was sent and its answer is lost: it may or may not have been done."""

    code = "outcome_unknown"
    whose = Whose.REMOTE


class Told(GatefleetError):
    """An error that another process told, under its own code."""

    code = "told"
    whose = Whose.REMOTE

    def __init__(self, told_code: str, detail: str, *, place: str = "", cure: str = "") -> None:
        super().__init__(detail, place=place, cure=cure)
        self.told_code = told_code


def code_of(error: GatefleetError) -> str:
    """Return the stable code, also of an error that another process told."""
    return error.told_code if isinstance(error, Told) else error.code


def exit_of(error: GatefleetError) -> Exit:
    """Return the exit status of an error."""
    match error:
        case UsageWrong() | ConfigInvalid():
            return Exit.USAGE
        case NoDaemon():
            return Exit.NO_DAEMON
        case CentralUnreachable():
            return Exit.NO_CENTRAL
        case Told(told_code="config_invalid"):
            return Exit.USAGE
        case _:
            return Exit.FAILED
