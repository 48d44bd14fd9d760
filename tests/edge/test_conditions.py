"""The promises of `edge.conditions` by their words, with a clock that is set by hand."""

import importlib
import pkgutil
from datetime import UTC, datetime, timedelta

import pytest

import drivers
from drivers.desk.facts import CertificateHeld, DeskReported
from drivers.dock.facts import SlotChanged
from drivers.facts import DeviceSignal, Fact, Measured
from drivers.instrument.facts import CalibrationStated
from drivers.snmp.facts import LicenceTold
from edge.conditions import _RULES, Conditions

TODAY = datetime(2026, 11, 21, 4, tzinfo=UTC)


class Bench:
    """Conditions, what they told, and a clock."""

    def __init__(self):
        self.now = TODAY
        self.told = []
        self.conditions = Conditions(lambda *told: self.told.append(told), lambda: self.now)

    def feed(self, *facts):
        for fact in facts:
            self.conditions.fact("D", fact)
        return self

    @property
    def codes(self):
        return {name: one.code for name, one in self.conditions.of("D").items()}


@pytest.fixture
def bench():
    return Bench()


def in_days(days):
    return TODAY.date() + timedelta(days=days)


def certificate(day):
    ends = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return DeskReported(desk="desk-1", certificates=(CertificateHeld("0a", ends),))


DATED = [
    pytest.param(lambda day: CalibrationStated(day, "C-7"), "calibration_due", "calibration_over", id="calibration"),
    pytest.param(lambda day: LicenceTold("AV", day, str(day)), "licence_ends", "licence_over", id="licence"),
    pytest.param(certificate, "certificate_ends", "certificate_over", id="certificate"),
]


@pytest.mark.parametrize(("fact", "soon", "over"), DATED)
def test_what_ends_soon_is_mild_and_what_has_ended_makes_sick(bench, fact, soon, over):
    for days, code in ((400, None), (30, None), (29, soon), (0, soon), (-1, over)):
        bench.feed(fact(in_days(days)))
        assert list(bench.codes.values()) == ([code] if code else []), days
    assert [(one.code, one.mild, one.args["left_d"]) for _, _, one in bench.told if one] == [
        (soon, True, 29),
        (soon, True, 0),
        (over, False, -1),
    ]


@pytest.mark.parametrize(("fact", "soon", "over"), DATED)
def test_dates_are_judged_every_hour_without_a_fact(bench, fact, soon, over):
    bench.feed(fact(in_days(60)))
    assert bench.codes == {}
    bench.now += timedelta(days=40)
    bench.conditions.judge()
    assert list(bench.codes.values()) == [soon]
    bench.now += timedelta(days=40)
    bench.conditions.judge()
    assert list(bench.codes.values()) == [over]
    bench.now = TODAY
    bench.feed(fact(in_days(400)))
    assert bench.codes == {}


def test_a_licence_that_holds_for_ever_and_a_certificate_that_is_gone_are_no_dates(bench):
    bench.feed(LicenceTold("AV", in_days(3), "x"), certificate(in_days(3)))
    assert len(bench.codes) == 2
    bench.feed(LicenceTold("AV", None, "perpetual"), DeskReported(desk="desk-1"))
    assert bench.codes == {}


def test_a_locked_pin_is_told_until_it_is_not(bench):
    bench.feed(DeskReported(desk="d", certificates=(CertificateHeld("0a", None, pin_locked=True),)))
    assert bench.codes == {"pin d": "pin_locked"}
    bench.feed(DeskReported(desk="d", certificates=(CertificateHeld("0a", None, pin_locked=False),)))
    assert bench.codes == {}


@pytest.mark.parametrize(
    ("topic", "code"),
    [
        ("unsynchronised", "time_unsynchronised"),
        ("offset_large", "time_offset"),
        ("poe_fault", "signal"),
        ("until_unreadable", "signal"),
    ],
)
def test_a_signal_is_a_finding_while_it_is_on(bench, topic, code):
    bench.feed(DeviceSignal(topic, on=False, source="s", baseline=True))
    assert bench.told == []
    bench.feed(DeviceSignal(topic, on=True, source="s"), DeviceSignal(topic, on=True, source="s"))
    assert list(bench.codes.values()) == [code]
    bench.feed(DeviceSignal(topic, on=False, source="s"))
    assert bench.codes == {}
    assert len(bench.told) == 2


def test_an_offset_of_the_time_server_is_told_with_its_figure(bench):
    bench.feed(DeviceSignal("offset_large", on=True), Measured({"offset_ms": -312.4}))
    assert bench.conditions.of("D")["offset_large"].args == {"offset_ms": -312}


def test_a_camera_s_clock_is_wrong_from_five_seconds_and_right_again_below_three(bench):
    for offset_s, wrong in ((4.9, False), (-5.1, True), (4.0, True), (3.1, True), (2.9, False), (4.9, False)):
        bench.feed(Measured({"clock_offset_s": offset_s}))
        assert bool(bench.codes) is wrong, offset_s
    assert [one and one.args for _, _, one in bench.told] == [{"offset_s": -5.1}, None]


def slot(kind, fault=""):
    return SlotChanged(event_id="e", slot=3, kind=kind, at=TODAY, equipment="R-1", fault=fault)


def test_a_slot_s_fault_is_told_until_something_else_happens_there(bench):
    bench.feed(slot("fault", "E7"))
    assert bench.conditions.of("D")["slot 3"].args == {"slot": 3, "fault": "E7", "equipment": "R-1"}
    bench.feed(slot("charging"))
    assert bench.codes == {}


def test_a_finding_is_told_when_it_changes_and_not_with_every_fact(bench):
    bench.feed(*[CalibrationStated(in_days(5))] * 50, *[Measured({"clock_offset_s": 9.0})] * 50)
    assert len(bench.told) == 2


def test_what_is_kept_of_a_device_is_bounded(bench):
    bench.feed(*(LicenceTold(f"n{number}", in_days(-5), "x" * 9_000) for number in range(500)))
    bench.feed(*(DeviceSignal("poe_fault", on=True, source=f"{number}" * 900) for number in range(500)))
    assert len(bench.codes) == len(bench.conditions.dates("D")) == 32
    assert max(map(len, bench.codes)) <= 128


def fact_classes():
    for module in pkgutil.walk_packages(drivers.__path__, "drivers."):
        if module.name.endswith("facts"):
            importlib.import_module(module.name)
    pending, found = [Fact], set()
    while pending:
        found |= {one.__name__ for one in pending}
        pending = [child for one in pending for child in one.__subclasses__()]
    return found


def test_every_rule_is_for_a_fact_that_there_is():
    assert set(_RULES) - fact_classes() == set()
