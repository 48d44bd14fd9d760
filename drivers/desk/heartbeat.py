"""Desk heartbeats -> facts. Keeps nothing between requests."""

from typing import Final

from pydantic import BaseModel, ConfigDict

from core.errors import FrameInvalid
from drivers.base import Answer, Pushed, Request
from drivers.desk.facts import CertificateHeld, DeskReported
from drivers.facts import DeviceDescribed, Fact
from drivers.push import Reading, at_path, first_text, parse_json, refused
from drivers.stamps import Zone, parse_stamp, zone_of

MAX_CERTIFICATES: Final = 32
_MAX_STORAGE: Final = 1 << 60
_NEVER: Final = "9999"
Paths = tuple[str, ...]


class Spelling(BaseModel):
    """Where each value stands in a heartbeat; the first that tells something counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    desk: Paths = ("desk",)
    at: Paths = ("at",)
    vendor: Paths = ("vendor",)
    model: Paths = ("model",)
    serial: Paths = ("serial",)
    software: Paths = ("software",)
    storage_free_bytes: Paths = ("storage.free_bytes",)
    storage_total_bytes: Paths = ("storage.total_bytes",)
    battery_pct: Paths = ("battery_pct",)
    certificates: str = "certificates"
    certificate_serial: Paths = ("serial",)
    certificate_issuer: Paths = ("issuer",)
    certificate_not_after: Paths = ("not_after",)
    certificate_pin_locked: Paths = ("pin_locked",)


class DeskMap(BaseModel):
    """The `map` of a desk's profile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    zone: Zone = "+08:00"
    """Of times that tell none."""
    spelling: Spelling = Spelling()


class DeskHeartbeats:
    """What one desk pushes to."""

    def __init__(self, layout: DeskMap) -> None:
        self._map = layout
        self._zone = zone_of(layout.zone)

    def receive(self, request: Request) -> Pushed:
        """Return what one heartbeat means; one without the desk's own name is refused."""
        if request.method not in {"POST", "PUT"}:
            return refused(405, f"method {request.method[:10]}")
        reading = Reading()
        try:
            value = parse_json(request.body)
            facts = self._facts(value, reading)
        except FrameInvalid as error:
            return refused(400, error.detail, *reading.rejected)
        return Pushed(facts, Answer(200, b'{"accepted": true}'), tuple(reading.rejected))

    def _facts(self, value: object, reading: Reading) -> tuple[Fact, ...]:
        spelled = self._map.spelling
        desk = reading.word("desk", first_text(value, spelled.desk), 64)
        if not desk:
            raise FrameInvalid("a heartbeat that does not name its desk")
        software = reading.word("software", first_text(value, spelled.software), 64)
        report = DeskReported(
            desk=desk,
            at=reading.stamp("at", first_text(value, spelled.at), self._zone),
            software=software,
            storage_free_bytes=reading.whole("free", first_text(value, spelled.storage_free_bytes), 0, _MAX_STORAGE),
            storage_total_bytes=reading.whole("total", first_text(value, spelled.storage_total_bytes), 0, _MAX_STORAGE),
            battery_pct=reading.number("battery", first_text(value, spelled.battery_pct), 0, 100),
            certificates=self._certificates(value, reading),
        )
        described = DeviceDescribed(
            vendor=reading.word("vendor", first_text(value, spelled.vendor)),
            model=reading.word("model", first_text(value, spelled.model)),
            firmware=software,
            serial=reading.word("serial", first_text(value, spelled.serial)),
        )
        return (report, described) if described.model or described.serial else (report,)

    def _certificates(self, value: object, reading: Reading) -> tuple[CertificateHeld, ...]:
        rows = at_path(value, self._map.spelling.certificates)
        if rows is None:
            return ()
        if not isinstance(rows, list):
            reading.reject("certificates that are no list")
            return ()
        if len(rows) > MAX_CERTIFICATES:
            reading.reject(f"{len(rows)} certificates, {MAX_CERTIFICATES} are kept")
        return tuple(one for row in rows[:MAX_CERTIFICATES] if (one := self._certificate(row, reading)) is not None)

    def _certificate(self, row: object, reading: Reading) -> CertificateHeld | None:
        spelled = self._map.spelling
        serial = reading.word("certificate", first_text(row, spelled.certificate_serial), 64)
        expires = first_text(row, spelled.certificate_not_after)
        if not serial or not expires:
            reading.reject("a certificate without serial or not_after")
            return None
        try:
            not_after = None if expires.startswith(_NEVER) else parse_stamp(expires, self._zone)
        except FrameInvalid as error:
            reading.reject(f"certificate {serial}: {error.detail}")
            return None
        locked = first_text(row, spelled.certificate_pin_locked).lower()
        return CertificateHeld(
            serial=serial,
            not_after=not_after,
            issuer=reading.word("issuer", first_text(row, spelled.certificate_issuer)),
            pin_locked={"true": True, "false": False}.get(locked),
        )
