"""One sick family of devices hurts no other: each lies, hangs and dies in turn beside seven others under load.

One real daemon, each family a process of its own; what the others are served in is held against the seconds before and
after. The windows are short and the machine may be busy, so: the p99 of the others may move by a fifth of what it is, or
of their usual p90 plus 40 ms where that is more; and a family that seems to hurt them is tried twice more. A bug that
blocks the loop does so each time.
`python -m bench.families` measures the same without that grace, for longer.
"""

import asyncio
import time

import pytest

from bench.families import Fault, families
from bench.family_kinds import KINDS
from bench.family_verdicts import MOST, hurt_by
from bench.stack import work_folder

WELL_S = 0.6
SICK_S = 0.5
GRACE_MS = 40.0
TRIES = 3
DRAIN_S = 2.3


async def hurting(all_, names):
    """Let each of these be sick in each way; return how much the others were hurt by those that hurt them."""
    began_s = time.monotonic()
    for name in names:
        await all_.well(WELL_S)
        await all_.sick(name, tuple(Fault), SICK_S, patient=False)
    await all_.well(WELL_S)
    await asyncio.sleep(DRAIN_S)
    samples = all_.samples()
    moved = {name: round(hurt_by(samples, all_.windows, name, began_s, GRACE_MS), 2) for name in names}
    print(moved)
    return {name: times for name, times in moved.items() if times > MOST}


@pytest.mark.slow
async def test_a_family_that_lies_hangs_or_dies_moves_the_others_p99_by_less_than_a_fifth():
    with work_folder() as folder:
        async with families(folder) as all_:
            hurt = dict.fromkeys(KINDS, 0.0)
            for _ in range(TRIES):
                hurt = await hurting(all_, hurt)
                if not hurt:
                    break
            assert hurt == {}
            for name in KINDS:
                await all_.until_well(name, time.monotonic() - WELL_S)
