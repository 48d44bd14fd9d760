"""The upper view library, as cameras and lower platforms push to it over HTTP (GA/T 1400.4).

    POST /VIID/System/Register, /UnRegister, /Keepalive   {"RegisterObject": {"DeviceID": id}}
    GET  /VIID/System/Time
    POST /VIID/MotorVehicles, /NonMotorVehicles, /Faces, /Persons, /Images, /SubscribeNotifications
    GET, POST, PUT, DELETE /VIID/Subscribes[/id]          only where the settings allow it

Every request gets statuses, one for each object, matched by Id. A resource of the standard that has no use here is
answered 200 with code 4: a device takes any other HTTP status for a lost registration and registers again for ever.
Caps: `reading.MAX_BODY`, MAX_OBJECTS in a request, `objects.MAX_IMAGES` for each.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from core.errors import FrameInvalid
from drivers.base import Answer, Pushed, Request
from drivers.facts import Fact
from drivers.gat1400.answers import Status, one_status, status_list
from drivers.gat1400.codes import KNOWN_NOT_TAKEN, RESOURCES, Resource, StatusCode
from drivers.gat1400.facts import KeptAlive, SubscriptionAsked, SubscriptionEnded, SystemLeft, SystemRegistered
from drivers.gat1400.ids import is_device_id
from drivers.gat1400.objects import MAX_ID, Context, read_object
from drivers.gat1400.profile import LibraryMap, LibrarySettings
from drivers.gat1400.reading import Record, parse_record, stamp, to_json
from drivers.gat1400.subscriptions import read_subscription, read_subscriptions

MAX_OBJECTS: Final = 1000
_MAX_REASONS: Final = 20
_BY_PATH: Final = {one.name.casefold(): one for one in RESOURCES}
_SYSTEM: Final[dict[str, tuple[str, Callable[[str], Fact]]]] = {
    "register": ("RegisterObject", SystemRegistered),
    "unregister": ("UnRegisterObject", SystemLeft),
    "keepalive": ("KeepaliveObject", KeptAlive),
}


class RequestRefused(FrameInvalid):
    """A request that is answered with an error as a whole."""

    def __init__(self, detail: str, *, http: int = 400, status: StatusCode = StatusCode.JSON_CONTENT) -> None:
        super().__init__(detail)
        self.http = http
        self.status = status


class ViewLibrary:
    """Requests -> facts and answers. Keeps no state."""

    def __init__(self, layout: LibraryMap, settings: LibrarySettings) -> None:
        self._map = layout
        self._settings = settings

    def receive(self, request: Request) -> Pushed:
        """Return what a request means; never raises."""
        try:
            return self._route(request)
        except RequestRefused as error:
            return self._refused(request, error.http, error.status, error.detail)
        except FrameInvalid as error:
            return self._refused(request, 400, StatusCode.JSON_FORMAT, error.detail)

    def _route(self, request: Request) -> Pushed:
        parts = [part for part in request.path.casefold().split("/") if part]
        if parts[:1] == ["viid"]:
            del parts[0]
        match request.method.upper(), parts:
            case "POST", ["system", name] if name in _SYSTEM:
                return self._system(request, name)
            case "GET", ["system", "time"]:
                return self._time(request)
            case "POST", [name] if name in _BY_PATH:
                return self._objects(request, _BY_PATH[name])
            case "POST", ["subscribenotifications"]:
                return self._notifications(request)
            case _, ["subscribes", *_] if self._settings.subscriptions:
                return self._subscribes(request, parts)
            case _, ["subscribes", *_]:
                return self._refused(request, 200, StatusCode.INVALID_OPERATION, "nobody may subscribe here")
            case _, [name, *_] if name in KNOWN_NOT_TAKEN:
                return self._refused(request, 200, StatusCode.INVALID_OPERATION, f"nothing here takes {name}")
        known = parts[:1] in (["system"], ["subscribenotifications"]) or "".join(parts[:1]) in _BY_PATH
        what = f"{request.method[:16]} {request.path[:80]}"
        return self._refused(request, 405 if known else 404, StatusCode.INVALID_OPERATION, f"no such operation: {what}")

    def _system(self, request: Request, name: str) -> Pushed:
        wrapper, make = _SYSTEM[name]
        record = _body(request)
        device = (record.record(wrapper) or record).text("DeviceID", cap=MAX_ID + 1) or _sender(request)
        strict = self._map.device_ids == "20-digits"
        if not device or len(device) > MAX_ID or (strict and not is_device_id(device)):
            raise RequestRefused(f"{name} with {device[:MAX_ID]!r}, which is no device id")
        return Pushed((make(device),), self._answer(one_status(self._status(request, device), self._map.zone)))

    def _time(self, request: Request) -> Pushed:
        told = {
            "VIIDServerID": self._settings.server_id,
            "TimeMode": "1",
            "LocalTime": stamp(request.at, self._map.zone),
            "TimeZone": self._map.time_zone,
        }
        return Pushed((), self._answer({"SystemTimeObject": told}))

    def _objects(self, request: Request, resource: Resource) -> Pushed:
        found = _listed(_body(request), resource)
        if not found:
            raise RequestRefused(f"no {resource.item} in the request")
        _cap(len(found))
        facts, flaws, statuses = self._read(request, resource, found)
        return self._statuses(statuses, facts, flaws)

    def _read(
        self, request: Request, resource: Resource, found: Sequence[Any]
    ) -> tuple[list[Fact], list[str], list[Status]]:
        context = Context(self._map, _sender(request), request.at)
        facts: list[Fact] = []
        flaws: list[str] = []
        statuses = []
        for value in found:
            try:
                name, fact, its_flaws = read_object(resource, value, context)
            except FrameInvalid as error:
                flaws.append(error.detail)
                statuses.append(self._status(request, "", StatusCode.JSON_CONTENT))
                continue
            facts.append(fact)
            flaws.extend(its_flaws)
            statuses.append(self._status(request, name))
        return facts, flaws, statuses

    def _notifications(self, request: Request) -> Pushed:
        record = _body(request)
        notes = record.items("SubscribeNotificationListObject", "SubscribeNotificationObject")
        whole = [Record(note) for note in notes if isinstance(note, dict)]
        if not notes or len(whole) != len(notes):
            raise RequestRefused("no SubscribeNotificationObject in the request, or one that is no object")
        _cap(len(whole) + sum(len(_listed(note, one)) for note in whole for one in RESOURCES))
        facts: list[Fact] = []
        flaws: list[str] = []
        statuses = []
        for note in whole:
            taken, its_flaws = self._note(request, note)
            # Sending the rest again would not mend it: one object that was taken lets the sender go on.
            code = StatusCode.OK if taken else StatusCode.JSON_CONTENT
            statuses.append(self._status(request, note.text("NotificationID", cap=MAX_ID), code))
            facts.extend(taken)
            flaws.extend(its_flaws)
        return self._statuses(statuses, facts, flaws)

    def _note(self, request: Request, note: Record) -> tuple[list[Fact], list[str]]:
        facts: list[Fact] = []
        flaws: list[str] = []
        for resource in RESOURCES:
            its_facts, its_flaws, _ = self._read(request, resource, _listed(note, resource))
            facts += its_facts
            flaws += its_flaws
        return facts, flaws or ([] if facts else ["a notification of nothing that is taken here"])

    def _subscribes(self, request: Request, parts: list[str]) -> Pushed:
        match request.method.upper(), parts:
            case "GET", ["subscribes"]:
                return Pushed((), self._answer({"SubscribeListObject": {"SubscribeObject": []}}))
            case (("POST" | "PUT"), ["subscribes"]):
                return self._asked(request)
            case "PUT", ["subscribes", _]:
                name = request.path.rstrip("/").rpartition("/")[2][:MAX_ID]
                record = _body(request)
                reason = (record.record("SubscribeObject") or record).text("CancelReason")
                ended = SubscriptionEnded(name, reason)
                return self._statuses([self._status(request, name)], [ended], [])
            case "DELETE", ["subscribes"]:
                names = [one.strip()[:MAX_ID] for one in _query(request, "idlist").split(",") if one.strip()]
                if not names:
                    raise RequestRefused("DELETE without IDList")
                _cap(len(names))
                facts = [SubscriptionEnded(name, "deleted") for name in names]
                return self._statuses([self._status(request, name) for name in names], facts, [])
        raise RequestRefused("no such operation on Subscribes", http=405, status=StatusCode.INVALID_OPERATION)

    def _asked(self, request: Request) -> Pushed:
        facts: list[Fact] = []
        flaws: list[str] = []
        statuses = []
        for value in read_subscriptions(_body(request)):
            try:
                wanted = read_subscription(value, self._map.zone)
            except FrameInvalid as error:
                flaws.append(error.detail)
                statuses.append(self._status(request, "", StatusCode.JSON_CONTENT))
                continue
            ends = SubscriptionEnded(wanted.subscription_id, "cancelled")
            facts.append(ends if wanted.cancels else SubscriptionAsked(wanted))
            statuses.append(self._status(request, wanted.subscription_id))
        return self._statuses(statuses, facts, flaws)

    def _status(self, request: Request, name: str, code: StatusCode = StatusCode.OK) -> Status:
        return Status(name, code, url=request.path[:256], local_time=request.at)

    def _statuses(self, statuses: Sequence[Status], facts: Sequence[Fact], flaws: Sequence[str]) -> Pushed:
        answer = self._answer(status_list(statuses, self._map.zone))
        return Pushed(tuple(facts), answer, _bounded(flaws))

    def _refused(self, request: Request, http: int, code: StatusCode, reason: str) -> Pushed:
        status = self._status(request, _sender(request), code)
        answer = self._answer(status_list([status], self._map.zone), http)
        return Pushed((), answer, (reason[:256],))

    def _answer(self, value: object, status: int = 200) -> Answer:
        return Answer(status, to_json(value), self._map.media_type)


def _sender(request: Request) -> str:
    return Record(request.headers).text("User-Identify", cap=MAX_ID)


def _query(request: Request, name: str) -> str:
    return next((value for key, value in request.query.items() if key.casefold() == name), "")


def _body(request: Request) -> Record:
    if request.body.lstrip()[:1] == b"<":
        raise RequestRefused("XML is not taken here", http=415, status=StatusCode.XML_FORMAT)
    return parse_record(request.body)


def _listed(record: Record, resource: Resource) -> list[Any]:
    """Return the objects under either wrapper, or under none."""
    wrapper = next((name for name in (resource.pushed_as, resource.notified_as) if name in record), resource.item)
    return record.items(wrapper, resource.item)


def _cap(count: int) -> None:
    if count > MAX_OBJECTS:
        raise RequestRefused(f"a request with {count} objects, more than {MAX_OBJECTS}", http=413)


def _bounded(flaws: Sequence[str]) -> tuple[str, ...]:
    more = len(flaws) - _MAX_REASONS
    shown = tuple(flaw[:256] for flaw in flaws[:_MAX_REASONS])
    return (*shown, f"and {more} more") if more > 0 else shown
