"""The subscriptions of one upper level, as it asks for them and takes them back.

Promises
1. At most MAX_SUBSCRIPTIONS are held; one with the id of another takes its place.
2. None is held that would send to a host that is not allowed, and the upper level is told so.
3. What is held can be kept as JSON (`Subscription.as_object`) and given back after a restart.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from core.errors import FrameInvalid, Unsupported
from drivers.base import Answer, Pushed, Request
from drivers.gat1400.answers import Status, parse_response, status_list
from drivers.gat1400.codes import RESOURCES, Resource, StatusCode
from drivers.gat1400.facts import SubscriptionAsked, SubscriptionEnded
from drivers.gat1400.library import ViewLibrary
from drivers.gat1400.profile import LibraryMap, LibrarySettings
from drivers.gat1400.reading import to_json
from drivers.gat1400.subscriptions import MAX_SUBSCRIPTIONS, Subscription, checked_receiver

_OFFERED = frozenset(one.detail for one in RESOURCES if one.detail)


class SubscriptionDesk:
    """A PushParser for the upper level's requests; `changed` hears of all that are held, after each change."""

    def __init__(
        self,
        hosts: frozenset[str],
        *,
        layout: LibraryMap | None = None,
        held: Iterable[Subscription] = (),
        changed: Callable[[tuple[Subscription, ...]], None] = lambda _: None,
    ) -> None:
        self._hosts = hosts
        self._map = layout or LibraryMap()
        self._library = ViewLibrary(self._map, LibrarySettings(subscriptions=True))
        self._held = {one.subscription_id: one for one in held if _may_receive(one, hosts)}
        self._changed = changed

    @property
    def held(self) -> tuple[Subscription, ...]:
        """Return all, also those that are over or not yet begun."""
        return tuple(self._held.values())

    def wanting(self, resource: Resource, ids: frozenset[str], now: datetime) -> tuple[Subscription, ...]:
        """Return those that an object is to be sent to."""
        return tuple(one for one in self._held.values() if one.wants(resource, ids, now))

    def receive(self, request: Request) -> Pushed:
        """Take one request of the upper level."""
        path = request.path.casefold().rstrip("/").removeprefix("/viid")
        if request.method.upper() == "GET" and path == "/subscribes":
            held = [one.as_object(self._map.zone) for one in self.held]
            return Pushed((), self._answer({"SubscribeListObject": {"SubscribeObject": held}}))
        pushed = self._library.receive(request)
        if not any(isinstance(fact, SubscriptionAsked | SubscriptionEnded) for fact in pushed.facts):
            return pushed
        refused: dict[str, str] = {}
        for fact in pushed.facts:
            match fact:
                case SubscriptionAsked(subscription=wanted):
                    refused |= self._ask(wanted, request.at)
                case SubscriptionEnded(subscription_id=name):
                    refused |= {} if self._held.pop(name, None) else {name: "no such subscription"}
        self._changed(self.held)
        return self._with_refusals(pushed, refused)

    def _ask(self, wanted: Subscription, now: datetime) -> dict[str, str]:
        name = wanted.subscription_id
        try:
            checked_receiver(wanted, self._hosts)
        except Unsupported as error:
            return {name: error.detail}
        if _OFFERED.isdisjoint(wanted.details):
            return {name: f"nothing of {','.join(wanted.details)[:64]!r} is offered here"}
        for one in [one for one in self._held.values() if one.expired(now)]:
            del self._held[one.subscription_id]
        if name not in self._held and len(self._held) >= MAX_SUBSCRIPTIONS:
            return {name: f"{MAX_SUBSCRIPTIONS} subscriptions are held already"}
        self._held[name] = wanted
        return {}

    def _with_refusals(self, pushed: Pushed, refused: dict[str, str]) -> Pushed:
        if not refused:
            return pushed
        statuses = []
        for one in parse_response(pushed.answer.body, self._map.zone):
            why = refused.get(one.id, "")
            code = StatusCode.INVALID_OPERATION if why else one.code
            statuses.append(Status(one.id, code, why or one.text, one.url, one.local_time))
        reasons = tuple(f"{name}: {why}" for name, why in refused.items())
        kept = tuple(fact for fact in pushed.facts if _name(fact) not in refused)
        return Pushed(kept, self._answer(status_list(statuses, self._map.zone)), (*pushed.rejected, *reasons))

    def _answer(self, value: object) -> Answer:
        return Answer(200, to_json(value), self._map.media_type)


def _may_receive(subscription: Subscription, hosts: frozenset[str]) -> bool:
    try:
        checked_receiver(subscription, hosts)
    except Unsupported:
        return False
    return True


def _name(fact: object) -> str:
    match fact:
        case SubscriptionAsked(subscription=one):
            return one.subscription_id
        case SubscriptionEnded(subscription_id=name):
            return name
    raise FrameInvalid(f"{type(fact).__name__} is not of a subscription")
