"""Subscriptions: what an upper level wants to be notified of, read from its requests.

POST   /VIID/Subscribes             {"SubscribeListObject": {"SubscribeObject": [...]}}   OperateType 1 cancels
PUT    /VIID/Subscribes/<id>        {"SubscribeObject": {"CancelReason": ..., ...}}       cancels
DELETE /VIID/Subscribes?IDList=a,b                                                        cancels
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final
from urllib.parse import urlsplit

from core.errors import FrameInvalid, Unsupported
from drivers.gat1400.codes import Resource
from drivers.gat1400.reading import Record, stamp

MAX_SUBSCRIPTIONS: Final = 100
"""In one request, and held for one upper level."""
MAX_RESOURCES: Final = 1000
_MAX_DETAILS: Final = 32
_MAX_URIS: Final = 64 * 1024
_NO_IMAGES: Final = "-1"
STATUSES: Final = {0: "active", 1: "cancelled", 2: "expired", 9: "inactive"}


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription. Times are aware; None where the upper level set no bound."""

    subscription_id: str
    title: str = ""
    details: tuple[str, ...] = ()
    """Numbers of `codes.DETAILS`."""
    resources: tuple[str, ...] = ()
    """Ids of devices, tollgates or view libraries; empty for all."""
    receive_url: str = ""
    """From the wire: `checked_receiver` tells whether it may be used."""
    applicant: str = ""
    organisation: str = ""
    begin_at: datetime | None = None
    end_at: datetime | None = None
    report_interval_s: int = 0
    cancels: bool = False
    """OperateType 1."""
    status: int = 0
    resource_class: int | None = None
    """0 tollgate, 1 device, 4 view library."""
    image_kinds: str = ""
    """ResultImageDeclare: empty for all, -1 for none, else image types with commas."""

    def wants(self, resource: Resource, ids: frozenset[str], now: datetime) -> bool:
        """Tell whether an object of one of these sources (device, tollgate, library) is to be notified now."""
        return (
            not self.cancels
            and self.status == 0
            and resource.detail in self.details
            and (not self.resources or not ids.isdisjoint(self.resources))
            and self.holds(now)
        )

    def holds(self, now: datetime) -> bool:
        """Tell whether now lies between its begin and its end."""
        begun = self.begin_at is None or self.begin_at <= now
        return begun and not self.expired(now)

    def expired(self, now: datetime) -> bool:
        """Tell whether its end has passed."""
        return self.end_at is not None and self.end_at < now

    def wants_image(self, kind: str) -> bool:
        """Tell whether pictures of a type are to come along."""
        wanted = {one.strip().zfill(2) for one in self.image_kinds.split(",")}
        return not self.image_kinds or (_NO_IMAGES not in wanted and kind in wanted)

    def as_object(self, zone: tzinfo) -> dict[str, Any]:
        """Return a SubscribeObject; `read_subscription` makes the same of it again."""
        times = {"BeginTime": self.begin_at, "EndTime": self.end_at}
        return {
            "SubscribeID": self.subscription_id,
            "Title": self.title,
            "SubscribeDetail": ",".join(self.details),
            "ResourceURI": ",".join(self.resources),
            "ApplicantName": self.applicant,
            "ApplicantOrg": self.organisation,
            "ReceiveAddr": self.receive_url,
            "ReportInterval": self.report_interval_s,
            "OperateType": int(self.cancels),
            "SubscribeStatus": self.status,
            "ResultImageDeclare": self.image_kinds,
            **({} if self.resource_class is None else {"ResourceClass": self.resource_class}),
            **{name: stamp(moment, zone) for name, moment in times.items() if moment is not None},
        }


def read_subscription(value: object, zone: tzinfo) -> Subscription:
    """Return a SubscribeObject; raise FrameInvalid for one without an id, and for lists beyond their caps."""
    if not isinstance(value, Mapping):
        raise FrameInvalid("a subscription that is no object")
    record = Record(value)
    found = record.text("SubscribeID")
    if not found:
        raise FrameInvalid("a subscription without SubscribeID")
    details = _parts(record.text("SubscribeDetail", cap=1024))
    resources = _parts(record.text("ResourceURI", cap=_MAX_URIS))
    if len(details) > _MAX_DETAILS or len(resources) > MAX_RESOURCES:
        raise FrameInvalid(f"a subscription to {len(details)} details of {len(resources)} resources")
    return Subscription(
        subscription_id=found,
        title=record.text("Title"),
        details=tuple(dict.fromkeys(one.lstrip("0") for one in details)),
        resources=tuple(dict.fromkeys(resources)),
        receive_url=record.text("ReceiveAddr", cap=1024),
        applicant=record.text("ApplicantName"),
        organisation=record.text("ApplicantOrg"),
        begin_at=record.moment(zone, "BeginTime"),
        end_at=record.moment(zone, "EndTime"),
        report_interval_s=max(0, record.whole("ReportInterval") or 0),
        cancels=record.whole("OperateType") == 1,
        status=record.whole("SubscribeStatus") or 0,
        resource_class=record.whole("ResourceClass"),
        image_kinds=record.text("ResultImageDeclare"),
    )


def read_subscriptions(record: Record) -> list[Any]:
    """Return the SubscribeObjects of a request, not yet read; raise FrameInvalid for none or too many."""
    name = "SubscribeListObject" if "SubscribeListObject" in record else "SubscribeObject"
    found = record.items(name, "SubscribeObject")
    if not 1 <= len(found) <= MAX_SUBSCRIPTIONS:
        raise FrameInvalid(f"a request with {len(found)} subscriptions")
    return found


def checked_receiver(subscription: Subscription, hosts: frozenset[str]) -> str:
    """Return where notifications go; raise Unsupported for what is not http(s), or not a host that is allowed."""
    url = subscription.receive_url
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Unsupported(f"ReceiveAddr is no address: {error}") from error
    # A backslash or a space is read differently by different parsers: the host checked must be the host called.
    strange = parts.username is not None or port == 0 or any(sign in url for sign in "\\ @")
    if parts.scheme not in {"http", "https"} or not host or strange:
        raise Unsupported(f"ReceiveAddr is not http://host or https://host: {url[:80]!r}")
    if host not in hosts:
        raise Unsupported(
            f"ReceiveAddr is on {host[:80]!r}", cure=f"allow it, or use one of: {', '.join(sorted(hosts))}"
        )
    return url


def _parts(text: str) -> list[str]:
    return [part for one in text.replace(";", ",").split(",") if (part := one.strip())]
