"""The whole daemon on a full disk: a small file system of its own, and a limit on the size of its files."""

import asyncio
import contextlib
import os
import resource
import subprocess

import pytest

from core.clearance.model import Direction
from core.messages.events import PassageCleared, PassageDecided
from simulators.people import Manner, Traveller, specimen
from simulators.site import visit

from .bridge import bridge_in, token
from .conftest import until


class Tmpfs:
    """A file system of 16 MB, filled by a file beside the buffer's."""

    def __init__(self, root):
        self.root = root

    def fill(self):
        filler = os.open(self.root / "filler", os.O_WRONLY | os.O_CREAT)
        for size in (65536, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    os.write(filler, bytes(size))
        os.close(filler)

    def free(self):
        (self.root / "filler").unlink()


class FileLimit:
    """A limit on how long any file of this process may grow: writes fail as they do on a full disk."""

    def __init__(self, root):
        self.root = root
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, self._before[1]))

    def free(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@pytest.fixture(params=["tmpfs", "file limit"])
def disk(request, nook):
    root = nook / "d"
    root.mkdir()
    if request.param == "file limit":
        disk = FileLimit(root)
        yield disk
        disk.free()
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(root)]
    if subprocess.run(mount, check=False, capture_output=True, timeout=10).returncode:
        pytest.skip("mounting a small file system takes root")
    yield Tmpfs(root)
    subprocess.run(["umount", root], check=True, timeout=10)


@pytest.mark.slow
async def test_on_a_full_disk_gates_follow_their_policy_and_all_is_recorded_once_there_is_room(disk, signer):
    async with bridge_in(disk.root, signer) as bridge:
        shut, open_ = bridge.lanes[0], bridge.lanes[1]
        bridge.changes = {
            shut: {"timing": {"when_unrecordable": "refuse"}},
            open_: {"timing": {"when_unrecordable": "release"}},
        }
        running = await bridge.start()
        parts = running.parts
        await parts.lists.apply(bridge.snapshot([]))
        disk.fill()
        await full(running)
        before = len(running.events)
        gate, reader, direction = bridge.gate(shut)
        reader.show(specimen(1))
        await until(lambda: len(running.events) > before)
        assert not gate.open_for(direction)
        assert running.events[-1].reasons[0].code.value == "no_record"
        outcome = await visit(Traveller(open_, 2, 0, specimen(2), Manner.PLAIN, 0.1), *bridge.gate(open_))
        assert outcome.passed
        await until(lambda: any(isinstance(one, PassageCleared) for one in running.events))
        assert parts.ledger.owed >= 3
        status = await running.ask("status")
        assert (status["buffer"]["healthy"], bool(status["buffer"]["trouble"])) == (False, True)
        disk.free()
        began = asyncio.get_running_loop().time()
        await until(lambda: parts.buffer.healthy and not parts.ledger.owed, 10)
        print(
            f"{disk.root.name}: all was recorded {asyncio.get_running_loop().time() - began:.1f} s after there was room"
        )
        about = {specimen(1): [], specimen(2): []}
        for kind, data in await running.vital():
            for document, found in about.items():
                if data.get("subject_token") == token(document):
                    found.append((kind, data.get("effect"), data.get("unrecorded")))
        assert about[specimen(1)] == [("PassageDecided", "refuse", True)]
        assert about[specimen(2)] == [("PassageDecided", "release", True), ("PassageCleared", None, None)]
        outcome = await visit(Traveller(shut, 3, 0, specimen(3), Manner.PLAIN, 0.1), *bridge.gate(shut))
        assert outcome.passed
        assert shut != open_
        assert parts.ledger.shed == 0


async def full(running):
    """Write until the disk says no: the log may have room within what it has."""
    lane = running.parts.lanes[running.parts.config.file.lane[-1].id]
    for number in range(3000):
        await lane._ledger.commit((PassageDecidedOf(lane, number),))
        if running.parts.ledger.owed:
            return
    pytest.fail("the disk is not full")


def PassageDecidedOf(lane, number):  # noqa: N802 it stands for its class
    return PassageDecided(
        lane=lane.spec.id,
        attempt=f"filler-{number}",
        device="RD",
        direction=Direction.IN,
        subject_token="",
        document_kind="x" * 20_000,
        effect="refuse",
        reasons=(),
        ruleset_version=1,
    )
