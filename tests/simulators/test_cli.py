"""`gatefleet sim`: every device has its command, and a process of one runs until it is told to end."""

import json
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.cli.main import main
from simulators.cli import group
from simulators.devices import DEVICES

PROGRAM = Path(sys.executable).with_name("gatefleet")


@contextmanager
def running(*words):
    """Run a device as a process; give it, and end it as Ctrl-C does."""
    with subprocess.Popen(
        [PROGRAM, "sim", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        watchdog = threading.Timer(30, process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
            process.kill()


def ended(process, number=signal.SIGINT):
    process.send_signal(number)
    rest, errors = process.communicate(timeout=15)
    return process.returncode, rest, errors


@pytest.fixture
def said(capsys):
    def run(*words):
        code = main(["sim", *words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def test_each_device_has_a_command_with_help_and_examples():
    commands = group().commands
    assert set(commands) == {"site", "list", *DEVICES}
    for name, made in DEVICES.items():
        assert commands[name].help
        examples = commands[name].epilog.split("\n")
        assert all(line.startswith(f"gatefleet sim {name}") for line in examples)
        assert all(("--to" in line) is bool(made.calls) for line in examples)


def test_the_list_has_every_device_and_what_it_does_wrong(said):
    code, rows = said("list")
    assert code == 0
    assert {row["device"]: tuple(row["misbehaves"]) for row in rows} == {name: one.bad for name, one in DEVICES.items()}


def test_an_unknown_device_is_exit_status_2_with_those_there_are(said):
    code, told = said("typewriter")
    assert (code, told["error"]["code"]) == (2, "usage")
    assert all(name in told["error"]["cure"] for name in DEVICES)


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (("turnstile", "--misbehave", "dance"), "--misbehave"),
        (("turnstile", "--count", "3"), "--count"),
        (("turnstile", "--to", "tcp://h:1"), "--to"),
        (("turnstile", "--listen", "http://h:1"), "--listen"),
        (("turnstile", "--listen", "modbus+tcp://127.0.0.1:0?unit=900"), "--listen"),
        (("turnstile", "--listen", "modbus+tcp://127.0.0.1:0?unit=x"), "--listen"),
        (("turnstile", "--listen", "modbus+tcp://h:99999"), "--listen"),
        (("turnstile", "--profile", "reference/cabin"), "--profile"),
        (("turnstile", "--user", "x"), "--user"),
        (("jt808",), "--to"),
        (("jt808", "--to", "tcp://h"), "--to"),
        (("jt808", "--to", "http://h:1"), "--to"),
        (("hik-anpr", "--to", "http://user:password@h"), "--to"),
        (("hik-anpr", "--to", "http://h", "--listen", "http://h"), "--listen"),
        (("gb28181", "--listen", "sip://127.0.0.1:5060"), "--listen"),
    ],
)
def test_what_a_device_cannot_do_is_told_with_what_it_can(said, words, place):
    code, told = said(*words)
    assert (code, told["error"]["code"], told["error"]["place"]) == (2, "config_invalid", place)
    assert told["error"]["cure"] or place == "--listen"
    assert "password" not in told["error"]["detail"]


def test_a_port_that_is_taken_is_told(said):
    with running("turnstile", "--json") as process:
        url = json.loads(process.stdout.readline())["url"].partition("?")[0]
        code, told = said("turnstile", "--listen", url)
        assert (code, told["error"]["code"]) == (1, "link_lost")
        assert ended(process)[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_device_tells_its_address_and_ends_when_told_to(number):
    with running("reader", "--listen", "pty", "--json") as process:
        told = json.loads(process.stdout.readline())
        assert set(told) == {"device", "url", "entry", "toml", "settings", "environ"}
        assert told["entry"]["link"] == told["url"]
        assert Path(told["url"].removeprefix("serial://").partition("?")[0]).exists()
        assert ended(process, number) == (0, "", "")


def test_people_get_the_address_first_and_then_what_goes_into_a_site_file():
    with running("snmp", "--listen", "snmp://127.0.0.1:0") as process:
        assert process.stdout.readline().startswith("snmp: snmp://127.0.0.1:")
        rest = [process.stdout.readline() for _ in range(11)]
        assert "[[device]]\n" in rest
        assert 'community = "env:SIM_COMMUNITY"\n' in rest
        assert "export SIM_COMMUNITY=public\n" in rest
        assert ended(process)[0] == 0


def test_a_device_that_calls_tells_that_nobody_answers():
    with running("desk", "--to", "http://127.0.0.1:1/desk", "--every", "0.1") as process:
        lines = [process.stdout.readline()]
        while not lines[-1].startswith("desk: no answer"):
            lines.append(process.stdout.readline())
            assert lines[-1]
        assert lines[0] == "desk: http://127.0.0.1:1/desk\n"
        assert ended(process)[0] == 0
