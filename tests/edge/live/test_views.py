import asyncio
from datetime import timedelta

import pytest

from edge.live.views import Views
from edge.live.words import Granted, ViewRefused, Why

from .conftest import START, new_id, until


def granted(left_s=600.0, device="cam-1"):
    end = START + timedelta(seconds=60)
    return Granted(new_id(), device, "duty officer", "central", end, end, left_s)


def open_one(views, **changes):
    with views.place():
        return views.open(granted(**changes))


async def test_there_are_never_more_than_may_be_those_who_are_coming_included():
    told = []
    views = Views(2, told.append)
    open_one(views)
    with views.place():
        with pytest.raises(ViewRefused) as raised, views.place():
            pass
        assert raised.value.why is Why.FULL
    one = open_one(views)
    with pytest.raises(ViewRefused), views.place():
        pass
    views.end(one, "left")
    open_one(views)
    assert [event.why for event in told] == ["left"]
    views.end_all("stopped")
    assert len(views) == 0
    assert [event.why for event in told] == ["left", "stopped", "stopped"]


async def test_a_view_ends_when_its_time_is_over_although_somebody_looks():
    told = []
    views = Views(2, told.append)
    view = open_one(views, left_s=0.05)
    with views.looking(view):
        await asyncio.wait_for(view.ended.wait(), 2)
    assert [event.why for event in told] == ["over"]
    with pytest.raises(ViewRefused) as raised, views.looking(view):
        pass
    assert raised.value.why is Why.OVER


async def test_a_view_ends_when_nobody_has_looked_for_a_while_and_not_before():
    told = []
    views = Views(2, told.append, idle_s=0.08)
    view = open_one(views)
    with views.looking(view):
        await asyncio.sleep(0.15)
        with views.looking(view):
            pass
        assert not view.ended.is_set()
    await until(view.ended.is_set, 2)
    assert [event.why for event in told] == ["idle"]


async def test_a_secret_is_of_one_camera():
    views = Views(2, lambda _: None)
    view = open_one(views)
    assert views.find(view.secret, "cam-1") is view
    for secret, device in ((view.secret, "cam-2"), ("guess", "cam-1"), ("", "cam-1")):
        with pytest.raises(ViewRefused):
            views.find(secret, device)
    assert view.secret not in repr(view)
    views.end_all("stopped")
