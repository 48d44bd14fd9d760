"""An edge asked through its control socket, as a technician's tool asks it."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

from core.errors import LinkLost
from simulators.demo.api import ApiRefused

_WITHIN_S: Final = 10.0


async def ask(socket: Path, op: str, within_s: float = _WITHIN_S, **request: Any) -> dict[str, Any]:
    """Ask once; raise LinkLost where nobody answers, ApiRefused with the answer where it is no."""
    try:
        async with asyncio.timeout(within_s):
            reader, writer = await asyncio.open_unix_connection(socket)
            writer.write(json.dumps({"op": op, **request}).encode() + b"\n")
            answer = json.loads(await reader.readline())
            writer.close()
    except (OSError, TimeoutError, ValueError) as error:
        raise LinkLost(f"no answer: {error}", place=str(socket)) from error
    if not answer["ok"]:
        raise ApiRefused(json.dumps(answer["error"], ensure_ascii=False), place=op)
    data: dict[str, Any] = answer["data"]
    return data
