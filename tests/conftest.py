"""Real programs for the tests that ask for them: PostgreSQL and mosquitto, on loopback, in a temporary directory."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("quick", max_examples=20, deadline=None)
"""For `make check`; `make test` runs the whole of it."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
            return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[tuple[Path, int]]:
    """(socket directory, port) of a PostgreSQL of our own; it refuses to run as root, so root lends it a user."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        pytest.skip("PostgreSQL is not installed")
    binaries = found[-1].parent
    home = Path(tempfile.mkdtemp(prefix="gatefleet-pg-"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(home, "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    data, port = home / "data", _free_port()
    init = [*as_user, str(binaries / "initdb"), "-D", str(data), "-U", "gatefleet", "-A", "trust", "-E", "UTF8"]
    subprocess.run([*init, "--locale=C", "--no-sync"], check=True, stdout=subprocess.DEVNULL, cwd=home)
    settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": home, "max_connections": 60}
    settings |= {"fsync": "off"}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    log = (home / "log").open("wb")
    process = subprocess.Popen(
        [*as_user, str(binaries / "postgres"), "-D", str(data), *options], stdout=log, stderr=log, cwd=home
    )
    try:
        _wait_for_port(port, process)
        _wait_until_ready(binaries, port)
        yield home, port
    finally:
        process.send_signal(signal.SIGQUIT)  # immediate shutdown: nothing of it is kept
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        _stop(process)
        log.close()
        shutil.rmtree(home, ignore_errors=True)


def _wait_until_ready(binaries: Path, port: int) -> None:
    ready = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-t", "20"]
    deadline = time.monotonic() + 20
    while subprocess.run(ready, check=False).returncode:
        if time.monotonic() > deadline:
            raise RuntimeError("PostgreSQL does not get ready")
        time.sleep(0.05)


@pytest.fixture(scope="session")
def postgresql_database(postgresql_server: tuple[Path, int]) -> Callable[[], str]:
    """Make a new empty database; return its URL. It is a role with a schema of its own: a thousandth of the files."""
    _, port = postgresql_server
    count = 0
    psql = max(Path("/usr/lib/postgresql").glob("*/bin/psql"))
    server = [psql, "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "gatefleet", "-d", "postgres"]

    def make() -> str:
        nonlocal count
        count += 1
        name = f"test_{count}"
        made = f"CREATE ROLE {name} LOGIN; CREATE SCHEMA AUTHORIZATION {name}"
        subprocess.run([*server, "-c", made], check=True)
        return f"postgresql://{name}@127.0.0.1:{port}/postgres"

    return make


@dataclass
class Mosquitto:
    """A broker on loopback that can be stopped and started again on the same port."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [shutil.which("mosquitto", path=_PATH) or "mosquitto", "-c", str(self.home / "conf")],
                stdout=log,
                stderr=log,
            )
        _wait_for_port(self.port, self.process)

    def stop(self) -> None:
        if self.process is not None:
            _stop(self.process)
            self.process = None


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A real MQTT broker without persistence, on a free port."""
    if shutil.which("mosquitto", path=_PATH) is None:
        pytest.skip("mosquitto is not installed")
    home = tmp_path / "mosquitto"
    home.mkdir()
    port = _free_port()
    user = "user root\n" if os.geteuid() == 0 else ""
    (home / "conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n{user}")
    broker = Mosquitto(home, port)
    broker.start()
    yield broker
    broker.stop()
