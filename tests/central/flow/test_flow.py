from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from central.eventstore import events
from central.flow.model import vehicles
from central.flow.routes import routes
from central.flow.service import Flow
from core.messages.device_events import PeopleCountReported
from core.messages.vehicle_events import ChannelLeg, ChannelPassed

T0 = datetime(2026, 11, 21, 0, 0, tzinfo=UTC)
DAY = {"begin": T0.isoformat(), "end": (T0 + timedelta(days=1)).isoformat()}


def counted(entered, left, minute=0, device="PC-1", **more):
    return PeopleCountReported(
        device=device, bucket_start=T0 + timedelta(minutes=minute), entered=entered, left=left, **more
    )


def passed(direction="in", paired_by="plate", channel="CH-1"):
    legs = (ChannelLeg(barrier=1, lane="V1", attempt="A1"),)
    told = {"passage": "A1", "plate_token": "p", "confidence": 0.9, "duration_ms": 5_000, "legs": legs}
    return ChannelPassed(channel=channel, direction=direction, paired_by=paired_by, **told)


@pytest.fixture
async def flow(world):
    """Whatever happens in a test, no event of it is left unprojected."""
    Flow().register(world.bus)
    world.serve(routes())
    yield world
    async with world.database.read() as conn:
        assert set((await conn.execute(select(events.c.status))).scalars()) <= {"ok"}


async def people(world, what="people", who=None, **params):
    answer = await world.ask("GET", f"/v1/flow/{what}", params=DAY | params, **(who or {}))
    assert answer.status_code == 200, answer.text
    return answer.json()


def sums(line):
    return line["entered"], line["left"], line["net"], line["doubtful"]


async def test_reports_of_one_bucket_add_up_over_devices_and_regions(flow):
    await flow.happen(counted(3, 1), counted(2, 0), counted(1, 1, region="west"), counted(10, 20, device="PC-2"))
    await flow.happen(counted(5, 5, late=True), counted(4, 0, 1, estimated=True))
    told = await people(flow, step="minute")
    assert sums(told) == (25, 27, -2, 4)
    assert [(line["start"], *sums(line)) for line in told["steps"]] == [
        ("2026-11-21T00:00:00Z", 21, 27, -6, 0),
        ("2026-11-21T00:01:00Z", 4, 0, 4, 4),
    ]
    assert [(line["site"], line["device"], *sums(line)) for line in told["devices"]] == [
        ("north", "PC-1", 15, 7, 8, 4),
        ("north", "PC-2", 10, 20, -10, 0),
    ]
    only = await people(flow, device="PC-2")
    assert (sums(only), len(only["devices"])) == ((10, 20, -10, 0), 1)


@pytest.mark.parametrize(
    ("step", "starts"),
    [
        ("hour", {"00:00": 3, "01:00": 4, "23:00": 8}),
        ("day", {"00:00": 15}),
    ],
)
async def test_steps_are_counted_from_the_beginning_and_silence_is_no_step(flow, step, starts):
    for number, minute in enumerate([0, 59, 60, 23 * 60 + 59, 24 * 60]):
        await flow.happen(counted(1 << number, 0, minute))
    told = await people(flow, step=step)
    assert {line["start"][11:16]: line["entered"] for line in told["steps"]} == starts


async def test_a_day_begins_where_the_caller_says(flow):
    await flow.happen(counted(1, 0, 15 * 60 + 59), counted(2, 0, 16 * 60))
    begin = "2026-11-21T00:00:00+08:00"
    told = await people(flow, step="day", begin=begin, end="2026-11-23T00:00:00+08:00")
    assert [(line["start"], line["entered"]) for line in told["steps"]] == [
        ("2026-11-20T16:00:00Z", 1),
        ("2026-11-21T16:00:00Z", 2),
    ]


async def test_a_channel_counts_a_vehicle_once_by_its_direction(flow):
    at = T0 + timedelta(hours=2, seconds=59)
    await flow.happen(passed(), passed("out"), passed(paired_by="order"), passed(channel="CH-2"), at=at)
    await flow.happen(passed(), at=at - timedelta(seconds=40))
    told = await people(flow, "vehicles", step="minute")
    assert [(line["start"], *sums(line)) for line in told["steps"]] == [("2026-11-21T02:00:00Z", 4, 1, 3, 1)]
    assert [(line["channel"], *sums(line)) for line in told["channels"]] == [
        ("CH-1", 3, 1, 2, 1),
        ("CH-2", 1, 0, 1, 0),
    ]
    assert sums(await people(flow, "vehicles", channel="CH-2")) == (1, 0, 1, 0)
    async with flow.database.read() as conn:
        assert (await conn.execute(select(func.count()).select_from(vehicles))).scalar_one() == 2


async def test_what_no_column_takes_does_not_stop_the_stream(flow):
    odd = counted(1 << 80, 1 << 80, inside=1 << 80, bucket_s=1 << 80, region="r\0" * 99)
    await flow.happen(odd, odd, counted(1, 0).model_copy(update={"bucket_start": datetime(1, 1, 1, tzinfo=UTC)}))
    await flow.happen(counted(1, 0))
    assert (await people(flow))["entered"] == 2 * ((1 << 31) - 1) + 1


async def test_a_key_sees_its_sites_and_no_others(flow, is_problem):
    for edge in ("north.gates", "south.gates"):
        await flow.happen(counted(1 + (edge < "o"), 0), passed(), edge=edge, at=T0)
    mine = {"scopes": ("flow:read",), "sites": ("south",)}
    assert (await people(flow))["entered"] == 3
    assert (await people(flow, site="north"))["entered"] == 2
    assert (await people(flow, who=mine))["entered"] == 1
    assert [line["site"] for line in (await people(flow, "vehicles", who=mine))["channels"]] == ["south"]
    is_problem(await flow.ask("GET", "/v1/flow/people", params=DAY | {"site": "north"}, **mine), 403, "forbidden")
    is_problem(await flow.ask("GET", "/v1/flow/people", params=DAY, scopes=("duty:read",)), 403, "forbidden")


@pytest.mark.parametrize(
    "wrong",
    [
        {"step": "week"},
        {"end": DAY["begin"]},
        {"begin": "2026-11-21"},
        {"end": "2026-12-21T00:00:00Z", "step": "minute"},
        {"device": "\0"},
    ],
)
async def test_a_wrong_question_is_a_problem(flow, is_problem, wrong):
    is_problem(await flow.ask("GET", "/v1/flow/people", params=DAY | wrong), 422, "invalid")
