"""URLs of Modbus devices."""

import pytest

from core.errors import ConfigInvalid
from edge.links.modbus_url import BusAddress, ModbusUrl, parse_modbus_url, timing_of


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "modbus+tcp://gate-1.lan:1502?unit=7&timeout_ms=800",
            ModbusUrl(BusAddress("modbus+tcp", "gate-1.lan", 1502), 7, 0.8),
        ),
        ("modbus+tcp://10.0.0.9", ModbusUrl(BusAddress("modbus+tcp", "10.0.0.9", 502), 1, 0.5)),
        ("modbus+tcp://[fd00::9]:502?unit=255", ModbusUrl(BusAddress("modbus+tcp", "fd00::9", 502), 255, 0.5)),
        ("modbus+rtutcp://10.0.0.9:4001?unit=2", ModbusUrl(BusAddress("modbus+rtutcp", "10.0.0.9", 4001), 2, 0.5)),
        (
            "modbus+rtu:///dev/ttyS0?baud=19200&parity=E&stop=1&unit=3",
            ModbusUrl(BusAddress("modbus+rtu", device="/dev/ttyS0", baud=19200, parity="E"), 3, 0.5),
        ),
        ("modbus+rtu:///dev/ttyS0?unit=0", ModbusUrl(BusAddress("modbus+rtu", device="/dev/ttyS0"), 0, 0.5)),
    ],
)
def test_a_url_is_read(url: str, expected: ModbusUrl) -> None:
    assert parse_modbus_url(url) == expected
    assert parse_modbus_url(str(expected.bus)).bus == expected.bus


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("tcp://host:502", "scheme 'tcp'.*one of: modbus"),
        ("modbus+tcp://:502", "not host and port"),
        ("modbus+tcp://host:99999", "port"),
        ("modbus+tcp://host:502/path", "not host and port"),
        ("modbus+tcp://user@host:502", "not host and port"),
        ("modbus+tcp://host:502?units=1", "unknown units.*one of: timeout_ms, unit"),
        ("modbus+tcp://host:502?baud=9600", "unknown baud"),
        ("modbus+tcp://host:502?unit=256", r"unit '256'.*0\.\.255"),
        ("modbus+tcp://host:502?unit=1&unit=2", "stands twice"),
        ("modbus+tcp://host:502?unit=", "unit ''"),
        ("modbus+tcp://host:502?timeout_ms=0", r"timeout_ms '0'.*10\.\.10000"),
        ("modbus+rtu:///dev/ttyS0?unit=248", r"0\.\.247"),
        ("modbus+rtu:///dev/ttyS0?baud=9601", "baud 9601.*one of: 1200"),
        ("modbus+rtu:///dev/ttyS0?parity=X", "parity 'X'.*one of: N, E, O"),
        ("modbus+rtu:///dev/ttyS0?stop=3", "stop '3'"),
        ("modbus+rtu://dev/ttyS0", "three slashes"),
        ("modbus+rtu://", "no serial device"),
    ],
)
def test_a_bad_url_is_refused_with_what_is_wrong_and_what_is_allowed(url: str, text: str) -> None:
    with pytest.raises(ConfigInvalid, match=text) as caught:
        parse_modbus_url(url)
    assert caught.value.place == url


def test_devices_that_differ_in_unit_and_patience_share_a_bus() -> None:
    one = parse_modbus_url("modbus+rtu:///dev/ttyS0?baud=9600&unit=1")
    two = parse_modbus_url("modbus+rtu:///dev/ttyS0?unit=2&timeout_ms=900&baud=9600")
    assert one.bus == two.bus
    assert len({one.bus, two.bus}) == 1


def test_the_silence_of_a_line_follows_the_specification() -> None:
    def gap_s(query: str) -> float:
        return timing_of(parse_modbus_url(f"modbus+rtu:///dev/ttyS0?{query}").bus).gap_s

    assert gap_s("baud=9600&parity=E") == pytest.approx(3.5 * 11 / 9600)
    assert gap_s("baud=9600") == pytest.approx(3.5 * 10 / 9600)
    assert gap_s("baud=38400") == 0.00175
    assert timing_of(parse_modbus_url("modbus+tcp://host").bus).gap_s == 0
