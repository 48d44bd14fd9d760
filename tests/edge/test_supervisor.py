"""The only place that retries: how long it waits, and that nothing in one task ends another."""

import asyncio
import gc
import time

import pytest
import structlog

from core.errors import ConfigInvalid, GatefleetError, LinkLost
from edge import supervisor as supervisor_module
from edge.supervisor import Supervisor

from .conftest import until


class Hurried:
    """A module, but for one of its functions."""

    def __init__(self, module, **instead):
        self.module = module
        vars(self).update(instead)

    def __getattr__(self, name):
        return getattr(self.module, name)


@pytest.fixture
def pauses(monkeypatch):
    """The pauses that the supervisor makes, in virtual time."""
    slept = []

    async def nap(seconds):
        slept.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(supervisor_module, "asyncio", Hurried(asyncio, sleep=nap))
    return slept


def failing(error, times):
    async def run():
        nonlocal times
        times -= 1
        if times < 0:
            await asyncio.Event().wait()
        raise error

    return run


async def supervised(*runs, keep=None):
    """Run until each is at its last wait; return the restarts."""
    async with asyncio.TaskGroup() as group:
        supervisor = Supervisor(group)
        for name, run, times in runs:
            supervisor.keep(name, failing(run, times) if isinstance(run, Exception) else run, keep)
        await until(lambda: all(supervisor.restarts.get(name, 0) >= times for name, _, times in runs))
        await supervisor.stop()
    return supervisor.restarts


async def test_the_pause_doubles_to_the_longest_with_jitter(pauses):
    await supervised(("link", LinkLost("gone"), 12))
    wanted = [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30]
    assert all(0.7 * most <= pause <= most for pause, most in zip(pauses, wanted, strict=True))
    assert len(set(pauses)) == len(pauses)  # two that fell together do not come back together


async def test_a_device_that_is_away_for_a_week_does_not_end_the_daemon(pauses):
    """The doubling overflowed a float after 1,025 failures and took every other task with it."""
    restarts = await supervised(("away", LinkLost("gone"), 3000))
    assert restarts == {"away": 3000}
    assert 21 <= pauses[-1] <= 30


async def test_what_trying_again_cannot_cure_waits_the_longest_at_once(pauses):
    await supervised(("wrong", ConfigInvalid("no such key"), 2))
    assert all(21 <= pause <= 30 for pause in pauses)


async def test_what_ran_for_a_while_starts_again_soon(pauses, monkeypatch):
    now = 0.0
    monkeypatch.setattr(supervisor_module, "time", Hurried(time, monotonic=lambda: now))
    ran = 0

    async def run():
        nonlocal now, ran
        ran += 1
        if ran > 8:
            await asyncio.Event().wait()
        if ran == 7:
            now += 21.0
        raise LinkLost("gone")

    await supervised(("link", run, 8))
    assert pauses[5] >= 0.7 * 16
    assert pauses[6] <= 0.5
    assert pauses[7] <= 1.0


async def test_a_bug_in_one_task_stops_no_other(pauses):
    restarts = await supervised(("bug", ZeroDivisionError("a bug"), 5), ("link", LinkLost("gone"), 3))
    assert restarts == {"bug": 5, "link": 3}


async def test_a_bug_in_who_hears_of_the_end_stops_nothing(pauses):
    def ended(error):
        raise ZeroDivisionError(str(error))

    assert await supervised(("link", LinkLost("gone"), 5), keep=ended) == {"link": 5}


async def test_who_wants_to_hears_why_each_run_ended(pauses):
    heard = []
    await supervised(("link", LinkLost("gone"), 3), keep=heard.append)
    assert [str(error) for error in heard] == ["gone"] * 3


async def test_a_task_that_ends_by_itself_is_started_again_too(pauses):
    async def run():
        pass

    heard = []
    async with asyncio.TaskGroup() as group:
        supervisor = Supervisor(group)
        supervisor.keep("quiet", run, heard.append)
        await until(lambda: len(heard) >= 3)
        await supervisor.stop()
    assert all(isinstance(error, GatefleetError) for error in heard)


async def test_a_cancellation_that_nobody_asked_for_does_not_end_a_task(pauses):
    """A future it awaited was cancelled by somebody else: the task was gone for good, and nobody heard of it."""

    async def run():
        stray = asyncio.get_running_loop().create_future()
        stray.cancel()
        await stray

    async with asyncio.TaskGroup() as group:
        supervisor = Supervisor(group)
        supervisor.keep("stray", run)
        await until(lambda: supervisor.restarts.get("stray", 0) >= 3)
        await supervisor.stop()


async def test_stop_ends_all_whatever_they_are_doing():
    ended = []

    async def run(name):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async with asyncio.TaskGroup() as group:
        supervisor = Supervisor(group)
        for name in "abc":
            supervisor.keep(name, lambda name=name: run(name))
        supervisor.keep("pausing", failing(LinkLost("gone"), 1))
        await until(lambda: supervisor.restarts)
        before = len(asyncio.all_tasks())
        await asyncio.wait_for(supervisor.stop(), 2)
        assert ended == ["c", "b", "a"]
        assert len(asyncio.all_tasks()) == before - 4
    gc.collect()


async def test_one_that_lost_its_cancellation_is_asked_again(monkeypatch):
    monkeypatch.setattr(supervisor_module, "_STOP_AGAIN_S", 0.01)
    asked = 0

    async def run():
        nonlocal asked
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                asked += 1
                if asked == 2:
                    raise

    async with asyncio.TaskGroup() as group:
        supervisor = Supervisor(group)
        supervisor.keep("deaf", run)
        await asyncio.sleep(0)
        await asyncio.wait_for(supervisor.stop(), 2)
    assert asked == 2


async def test_tasks_bear_their_names():
    async with asyncio.TaskGroup() as group:
        supervisor = Supervisor(group)
        supervisor.keep("lane.7", asyncio.Event().wait)
        assert "lane.7" in {task.get_name() for task in asyncio.all_tasks()}
        await supervisor.stop()


async def test_a_bug_is_logged_with_its_trace_and_a_lost_link_without(pauses):
    with structlog.testing.capture_logs() as logs:
        await supervised(("bug", ZeroDivisionError("a bug"), 1), ("link", LinkLost("gone"), 1))
    kinds = {one["task"]: (one["event"], one["log_level"], "exc_info" in one) for one in logs}
    assert kinds == {"bug": ("task.failed", "error", True), "link": ("task.lost", "info", False)}
