"""systemd's notification protocol, sd_notify(3): READY, STATUS, WATCHDOG, STOPPING. No thread, no library.

The watchdog is fed from the event loop and only while the loop's own health check passes, so a daemon that hangs is
restarted by systemd.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping


class Notifier:
    """Sends to $NOTIFY_SOCKET; without systemd it does nothing."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._watchdog_s = int(environ.get("WATCHDOG_USEC", "0")) / 1e6

    def send(self, **words: str) -> None:
        """Send such as `READY="1", STATUS="..."`; a manager that does not listen is no error."""
        if not self._address:
            return
        # A leading @ stands for the abstract namespace (sd_notify(3), NOTIFY_SOCKET).
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        text = "\n".join(f"{name}={value}" for name, value in words.items())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as out:
            try:
                out.sendto(text.encode(), address)
            except OSError:
                return

    async def run(self, status: Callable[[], str]) -> None:
        """Feed the watchdog at a third of its time, with a line of status; runs for ever."""
        pause_s = self._watchdog_s / 3 if self._watchdog_s else 10.0
        while True:
            self.send(WATCHDOG="1", STATUS=status())
            await asyncio.sleep(pause_s)
