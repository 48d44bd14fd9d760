"""How long an order takes, central -> gate -> central. `python -m bench.commands [--quick] [--database sqlite]`.

Real central, mosquitto and edge daemon with the 28 turnstiles of the reference bridge, simulated on Modbus TCP. Each
order is signed (SM2), journalled with fsync on both sides, and written to the gate's register. The operator holds one
HTTP connection: POST, then a long poll until the order is final. After each order somebody walks through.
"""

import argparse
import asyncio
import http.client
import itertools
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from bench.checkpoint import Checkpoint, checkpoint, key, passenger_lanes, reference
from bench.figures import OTHERS, Figure, quantile, table
from bench.limits import there_and_back
from bench.stack import Engine, ProgramEnded, Stack, running_stack, work_folder
from edge.sections import PassengerSection
from simulators.demo.api import Api
from simulators.site import Site

ORDERS: Final = 400
_ROUNDS: Final = 4
_ECHOES: Final = 50
_EVERY_S: Final = 0.05
_WALK_S: Final = 0.05
_PATIENCE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Done:
    """One order: what the operator waited, and what central's rows say, in ms."""

    state: str
    detail: str
    waited_ms: float
    rows_ms: float


class Operator:
    """One HTTP connection with a key. Blocking: it is used in a thread."""

    def __init__(self, api: Api) -> None:
        place = urlsplit(api.base)
        self._connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
        self._headers = {"Authorization": f"Bearer {api.key}", "Content-Type": "application/json"}

    def order(self, lane: str, direction: str) -> Done:
        """Order a lane to be opened; return when that is final."""
        began = time.perf_counter()
        asked = self._call("POST", f"/v1/lanes/{lane}:open", {"reason": "bench", "direction": direction})
        row = self._call("GET", f"/v1/commands/{asked['id']}?wait_s=5")
        waited_ms = (time.perf_counter() - began) * 1000
        took = datetime.fromisoformat(row["updated_at"]) - datetime.fromisoformat(row["issued_at"])
        return Done(row["state"], row["detail"], waited_ms, took.total_seconds() * 1000)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        self._connection.request(method, path, json.dumps(body) if body else None, self._headers)
        answer = self._connection.getresponse()
        raw = answer.read()
        if answer.status >= 300:
            raise ConnectionError(f"{method} {path}: {answer.status} {raw[:500]!r}")
        return json.loads(raw)


async def orders(stack: Stack, place: Checkpoint, lanes: Iterable[PassengerSection]) -> list[Done]:
    """Give an order to each lane in turn, one each 50 ms at the most."""
    operator = Operator(await key(stack, "bench-operator", "lanes:command", "fleet:read"))
    done: list[Done] = []
    try:
        async with asyncio.TaskGroup() as group:
            for lane in lanes:
                due = asyncio.get_running_loop().time() + _EVERY_S
                walker = group.create_task(_walk(place.site, lane))
                done.append(await asyncio.to_thread(operator.order, lane.id, lane.direction.value))
                if done[-1].state != "done":
                    walker.cancel()
                await asyncio.sleep(due - asyncio.get_running_loop().time())
    finally:
        operator.close()
    return done


async def _walk(site: Site, lane: PassengerSection) -> None:
    """Go through once the gate opens."""
    gate = site.gates[lane.gate]
    if await gate.wait_open(lane.direction, _PATIENCE_S):
        await gate.walk(lane.direction, _WALK_S)


def figures(rounds: Sequence[tuple[Sequence[float], Sequence[Done]]], engine: Engine) -> list[Figure]:
    """Return what the orders came to, beside a bare message there and back, round by round."""
    every = [one for _, done in rounds for one in done]
    good = [one for one in every if one.state == "done"]
    others = {f"{one.state}: {one.detail}" for one in every if one.state != "done"}
    if not good:
        raise ProgramEnded(f"no order was done: {sorted(others)[:3]}", place="edge")
    waited, rows = [one.waited_ms for one in good], [one.rows_ms for one in good]
    bare = quantile([one for limit, _ in rounds for one in limit], 0.5)
    ratios = [quantile([one.waited_ms for one in done], 0.5) / quantile(limit, 0.5) for limit, done in rounds]
    said = f"{engine}; {len(good)} of {len(every)} orders done {', '.join(sorted(others))[:200]}".strip()
    name, others_did = "command round trip,", OTHERS["command"]
    return [
        replace(
            Figure(f"{name} operator p50", quantile(waited, 0.5), "ms", at_most=5, others=others_did, note=said),
            limit=bare,
            limit_of="ms by bare MQTT",
            ratio=quantile(ratios, 0.5),
        ),
        Figure(f"{name} orders done", len(good) / len(every) * 100, "%", at_least=100),
        Figure(f"{name} operator p99", quantile(waited, 0.99), "ms", at_most=20),
        Figure(f"{name} central's rows p50", quantile(rows, 0.5), "ms"),
        Figure(f"{name} central's rows p99", quantile(rows, 0.99), "ms"),
    ]


async def measure(engine: Engine, count: int) -> list[Figure]:
    """Measure with a stack of its own, limit and orders in turn."""
    with work_folder() as folder:
        async with running_stack(engine, folder) as stack, checkpoint(stack, reference("hengqin-bridge")) as place:
            rounds = []
            lanes = itertools.cycle(passenger_lanes(place.site.config))
            for _ in range(_ROUNDS):
                limit = await there_and_back(stack.broker.port, _ECHOES)
                rounds.append((limit, await orders(stack, place, itertools.islice(lanes, count // _ROUNDS))))
            return figures(rounds, engine)


def main() -> int:
    parser = argparse.ArgumentParser(description="How long an order takes, central -> gate -> central.")
    parser.add_argument("--quick", action="store_true", help="few orders, to see that it works")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    arguments = parser.parse_args()
    found = asyncio.run(measure(arguments.database, 56 if arguments.quick else ORDERS))
    print(table(found))
    return 0 if all(one.good is not False for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
