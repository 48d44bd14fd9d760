"""Ports that nobody takes between asking and listening."""

import socket
from pathlib import Path

from simulators import ports
from simulators.ports import free_port


def test_no_port_is_given_twice_and_none_that_connections_take_by_themselves():
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    given = [free_port() for _ in range(50)]
    assert len(set(given)) == 50
    assert max(given) < first


def test_a_port_that_is_taken_is_not_given(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        here = taken.getsockname()[1]
        monkeypatch.setattr(ports, "_FIRST", here)
        monkeypatch.setattr(ports, "_BEYOND", here + 2)
        monkeypatch.setattr(ports, "_given", set())
        assert free_port() == here + 1
