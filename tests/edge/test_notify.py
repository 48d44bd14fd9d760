"""systemd's datagrams on real sockets, path and abstract, and no helper thread."""

import asyncio
import os
import socket
import threading

import pytest

from edge.notify import Notifier

from .conftest import until


@pytest.fixture(params=["path", "abstract"])
def systemd(request, nook):
    """The manager's end: a datagram socket, and the variables a service gets."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        name = f"@gatefleet-{os.getpid()}-{nook.name}" if request.param == "abstract" else str(nook / "notify")
        manager.bind("\0" + name[1:] if name.startswith("@") else name)
        manager.setblocking(False)
        yield manager, {"NOTIFY_SOCKET": name}


def received(manager):
    try:
        return dict(line.split("=", 1) for line in manager.recv(4096).decode().split("\n"))
    except BlockingIOError:
        return None


def test_ready_with_a_status(systemd):
    manager, environ = systemd
    Notifier(environ).send(READY="1", STATUS="uplink down, 28 lanes")
    assert received(manager) == {"READY": "1", "STATUS": "uplink down, 28 lanes"}
    assert received(manager) is None


async def test_the_watchdog_is_fed_at_a_third_of_its_time_with_the_status_of_that_moment(systemd, task):
    manager, environ = systemd
    notifier = Notifier({**environ, "WATCHDOG_USEC": "60000"})
    count = iter(range(1000))
    threads = threading.active_count()
    began = asyncio.get_running_loop().time()
    task(notifier.run(lambda: f"beat {next(count)}"))
    beats = []

    def beat():
        if (words := received(manager)) is not None:
            beats.append(words)
        return len(beats) >= 6

    await until(beat)
    took = asyncio.get_running_loop().time() - began
    assert [one["STATUS"] for one in beats] == [f"beat {number}" for number in range(6)]
    assert {one["WATCHDOG"] for one in beats} == {"1"}
    assert took >= 5 * 0.02 * 0.9
    assert threading.active_count() == threads


async def test_a_loop_that_hangs_feeds_nobody(systemd, task):
    """The beat comes from the event loop itself: that is the whole point of it."""
    manager, environ = systemd
    task(Notifier({**environ, "WATCHDOG_USEC": "30000"}).run(lambda: "ok"))
    await until(lambda: received(manager))
    while received(manager):
        pass
    threading.Event().wait(0.1)  # the loop hangs
    assert received(manager) is None


def test_without_systemd_nothing_is_sent_and_nothing_fails():
    Notifier({}).send(READY="1")
    Notifier({"NOTIFY_SOCKET": ""}).send(READY="1")


@pytest.mark.parametrize("address", ["/nowhere/at/all", "@nobody-listens-here", "/" + "x" * 300, "relative"])
def test_a_manager_that_does_not_listen_is_no_error(address):
    Notifier({"NOTIFY_SOCKET": address}).send(READY="1", STATUS="x" * 5000)


def test_a_manager_that_does_not_read_does_not_block(systemd):
    manager, environ = systemd
    notifier = Notifier(environ)
    for _ in range(5000):
        notifier.send(STATUS="x" * 1000)
    assert received(manager)
