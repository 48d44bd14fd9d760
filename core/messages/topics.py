"""The topics of docs/wire.md. An edge's name is `<site>.<name>`, lower case letters, digits and hyphens."""

import re
from typing import Final

from core.errors import MessageInvalid
from core.messages.event import Stream

ROOT: Final = "gf/v1"
EDGE_NAME: Final = re.compile(r"^[a-z0-9][a-z0-9-]{0,62}\.[a-z0-9][a-z0-9-]{0,62}$")
ALL_UP: Final = f"{ROOT}/+/up/+"
ALL_PRESENCE: Final = f"{ROOT}/+/presence"


def up(edge: str, stream: Stream) -> str:
    """Batches of an edge's stream, edge to central."""
    return f"{ROOT}/{edge}/up/{stream.value}"


def ack(edge: str) -> str:
    """Watermarks, central to edge, after the database commit."""
    return f"{ROOT}/{edge}/ack"


def command(edge: str) -> str:
    """Signed commands, central to edge."""
    return f"{ROOT}/{edge}/down/command"


def list_announcement(edge: str) -> str:
    """The set of lists in force, retained, central to edge."""
    return f"{ROOT}/{edge}/down/list"


def presence(edge: str) -> str:
    """Online or offline, retained, last will of the edge."""
    return f"{ROOT}/{edge}/presence"


def parse(topic: str) -> tuple[str, str]:
    """Split `gf/v1/{edge}/{rest}`; raise MessageInvalid for anything else."""
    parts = topic.split("/", 3)
    if len(parts) != 4 or f"{parts[0]}/{parts[1]}" != ROOT or not EDGE_NAME.match(parts[2]):
        raise MessageInvalid("not a topic of gatefleet", place=topic[:128])
    return parts[2], parts[3]
