"""ResponseStatusObject and its list: what answers every request but GET, written and read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final

from core.errors import FrameInvalid
from drivers.gat1400.codes import PASSING, STATUS_TEXT, StatusCode
from drivers.gat1400.reading import Record, parse_json, stamp

MAX_STATUSES: Final = 4096
_LISTS: Final = ("ResponseStatusListObject", "ResponseStatusList")
"""The second occurs in the field."""


@dataclass(frozen=True, slots=True)
class Status:
    """One status: `id` names the object that it is about."""

    id: str
    code: int
    text: str = ""
    url: str = ""
    local_time: datetime | None = None
    """The answerer's clock: good for measuring drift, for nothing else."""

    @property
    def ok(self) -> bool:
        """Tell whether the object was taken."""
        return self.code == StatusCode.OK

    @property
    def passing(self) -> bool:
        """Tell whether the same again may be taken later."""
        return self.code in PASSING or self.code not in STATUS_TEXT


def status_object(status: Status, zone: tzinfo) -> dict[str, Any]:
    """Return a ResponseStatusObject's content."""
    written = {
        "RequestURL": status.url,
        "StatusCode": int(status.code),
        "StatusString": status.text or STATUS_TEXT.get(StatusCode(status.code), ""),
        "Id": status.id,
    }
    return written | ({"LocalTime": stamp(status.local_time, zone)} if status.local_time else {})


def one_status(status: Status, zone: tzinfo) -> dict[str, Any]:
    """Return the answer to Register, UnRegister and Keepalive."""
    return {"ResponseStatusObject": status_object(status, zone)}


def status_list(statuses: Sequence[Status], zone: tzinfo) -> dict[str, Any]:
    """Return the answer to anything with a list: one status for each object."""
    return {"ResponseStatusListObject": {"ResponseStatusObject": [status_object(one, zone) for one in statuses]}}


def parse_response(body: bytes, zone: tzinfo) -> tuple[Status, ...]:
    """Return the statuses of an answer, whatever its wrapper; raise FrameInvalid where there is none."""
    value = parse_json(body)
    found = value if isinstance(value, list) else _wrapped(Record(value)) if isinstance(value, dict) else []
    if not found or len(found) > MAX_STATUSES:
        raise FrameInvalid(f"an answer with {len(found)} statuses")
    return tuple(_status(one, zone) for one in found)


def _wrapped(record: Record) -> list[Any]:
    for name in _LISTS:
        if name in record:
            return record.items(name, "ResponseStatusObject")
    if "ResponseStatusObject" in record:
        return record.items("ResponseStatusObject", "ResponseStatusObject")
    return [record.raw] if "StatusCode" in record else []


def _status(value: object, zone: tzinfo) -> Status:
    if not isinstance(value, dict):
        raise FrameInvalid("a status that is no object")
    record = Record(value)
    code = record.whole("StatusCode")
    if code is None:
        raise FrameInvalid("a status without StatusCode")
    return Status(
        id=record.text("Id"),
        code=code,
        text=record.text("StatusString"),
        url=record.text("RequestURL"),
        local_time=record.moment(zone, "LocalTime"),
    )
