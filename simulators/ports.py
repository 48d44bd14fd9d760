"""Ports of loopback for those who must be told a port before anybody listens there.

They are below those that the system gives to connections by itself: a port that was free a moment ago would else be
taken by one of the many connections of a simulated site before its edge listens there. None is given twice.
"""

import random
import socket
from typing import Final

_FIRST: Final = 12_000
_BEYOND: Final = 32_000
_given: Final[set[int]] = set()


def free_port() -> int:
    """Return a TCP port of loopback that is free; raise OSError where there is none."""
    for port in random.sample(range(_FIRST, _BEYOND), _BEYOND - _FIRST):
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise OSError("no port of loopback is free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
