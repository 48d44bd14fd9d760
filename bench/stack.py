"""The real programs of a measurement, on loopback at free ports: mosquitto, PostgreSQL, central, edges.

Each is a `Program`: started, killed (SIGKILL), stopped and started again on the same port and data. Persistence is on,
fsync is on, and the data lie on a real disk.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import tomli_w

from core.errors import GatefleetError
from simulators.demo.api import Api
from simulators.demo.processes import free_port

Engine = Literal["postgresql", "sqlite"]
ROOT: Final = Path(__file__).parent.parent
_READY_S: Final = 60.0
_STOP_S: Final = 15.0
_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class ProgramEnded(GatefleetError):
    """A program ended by itself, or could not be started."""

    code = "program_ended"


@dataclass(slots=True)
class Program:
    """One program. `ready` returns once it can be used; `farewell` is its polite signal, `death` its rude one."""

    name: str
    argv: list[str]
    folder: Path
    ready: Callable[["Program"], Awaitable[None]] | None = None
    farewell: signal.Signals = signal.SIGTERM
    death: signal.Signals = signal.SIGKILL
    environ: Mapping[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Return the process id; raise ProgramEnded where it does not run."""
        self.check()
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> Path:
        """Return the file that has its output."""
        return self.folder / f"{self.name}.log"

    async def start(self) -> None:
        """Start it, and return once it is ready; its output is added to its log."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.argv,
                stdout=log,
                stderr=log,
                cwd=ROOT if self.argv[0] == sys.executable else self.folder,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.environ},
            )
        if self.ready is not None:
            async with asyncio.timeout(_READY_S):
                await self.ready(self)

    def check(self) -> None:
        """Raise ProgramEnded, with the end of its log, unless it runs."""
        if self.process is None:
            raise ProgramEnded("not started", place=self.name)
        if self.process.returncode is not None:
            tail = self.log.read_text(encoding="utf-8", errors="replace")[-1500:]
            raise ProgramEnded(f"ended with {self.process.returncode}: ...{tail}", place=self.name)

    async def wait(self) -> None:
        """Return when it has ended well; raise ProgramEnded where it failed."""
        assert self.process is not None
        if await self.process.wait():
            self.check()

    async def kill(self) -> None:
        """End it without a goodbye; `start` brings it back."""
        await self._end(self.death)

    async def stop(self) -> None:
        """Ask it to end, and end it after a while."""
        await self._end(self.farewell)

    async def restart(self) -> None:
        """Kill it, and start it again."""
        await self.kill()
        await self.start()

    async def _end(self, number: signal.Signals) -> None:
        if self.process is None or self.process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        try:
            await asyncio.wait_for(self.process.wait(), _STOP_S)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    def cpu_s(self) -> float:
        """Return the processor seconds that it and its children have used."""
        return cpu_seconds(self.pid)

    def rss_bytes(self) -> int:
        """Return what it holds in memory, without its children."""
        return int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """Return user + system time of a process, of its children that have ended, and of those that live (proc(5))."""
    total = 0
    for path in (Path(f"/proc/{pid}/stat"), *_children(pid)):
        with contextlib.suppress(OSError):
            total += sum(map(int, path.read_text(encoding="ascii").rpartition(")")[2].split()[11:15]))
    return total / _TICKS


def _children(pid: int) -> list[Path]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [Path(f"/proc/{child}/stat") for child in found]


async def listens(port: int, program: Program) -> None:
    """Return once something listens; raise ProgramEnded where the program ends first."""
    while True:
        program.check()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        return


@contextlib.asynccontextmanager
async def running(program: Program) -> AsyncIterator[Program]:
    """Start a program; stop it at the end."""
    try:
        await program.start()
        yield program
    finally:
        await program.stop()


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    """Make a folder on a real disk ($GATEFLEET_BENCH_DIR, else /var/tmp), and remove it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="gatefleet-bench-", dir=os.environ.get("GATEFLEET_BENCH_DIR", "/var/tmp")))
    folder.chmod(0o711)  # PostgreSQL, who is another user, has its own folder inside
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(slots=True)
class Broker:
    """mosquitto, with persistence."""

    program: Program
    port: int

    @property
    def url(self) -> str:
        """Return its address."""
        return f"mqtt://127.0.0.1:{self.port}"


def mosquitto(folder: Path) -> Broker:
    """Write a mosquitto's configuration; it is not started yet."""
    home, port = folder / "mosquitto", free_port()
    home.mkdir()
    lines = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        "persistence true",
        f"persistence_location {home}/",
        "max_queued_messages 10000",
        "set_tcp_nodelay true",
        *(["user root"] if os.geteuid() == 0 else []),
    ]
    (home / "conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    argv = [_found("mosquitto"), "-c", str(home / "conf")]
    return Broker(Program("mosquitto", argv, folder, lambda program: listens(port, program)), port)


@dataclass(slots=True)
class PostgreSQL:
    """A PostgreSQL of our own with its defaults: fsync and synchronous_commit are on."""

    program: Program
    binaries: Path
    port: int

    def url(self, name: str) -> str:
        """Return a database's address, with libpq's scheme."""
        return f"postgresql://gatefleet@127.0.0.1:{self.port}/{name}"

    async def create(self, name: str) -> str:
        """Make an empty database; return its address."""
        createdb = str(self.binaries / "createdb")
        await _output(createdb, "-h", "127.0.0.1", "-p", str(self.port), "-U", "gatefleet", name)
        return self.url(name)


async def postgresql(folder: Path, **settings: str) -> PostgreSQL:
    """Make a cluster; it is not started yet. PostgreSQL refuses to run as root, so root lends it a user."""
    binaries, home, port = _postgresql_binaries(), folder / "postgresql", free_port()
    home.mkdir()
    as_user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(home, "postgres")
        as_user = [_found("setpriv"), "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    data = home / "data"
    init = ["-D", str(data), "-U", "gatefleet", "-A", "trust", "-E", "UTF8", "--locale=C"]
    await _output(*as_user, str(binaries / "initdb"), *init, folder=home)
    values = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": str(home), **settings}
    options = [part for name, value in values.items() for part in ("-c", f"{name}={value}")]
    argv = [*as_user, str(binaries / "postgres"), "-D", str(data), *options]

    async def ready(program: Program) -> None:
        while True:
            program.check()
            with contextlib.suppress(ProgramEnded):
                await _output(str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port))
                return
            await asyncio.sleep(0.05)

    # SIGQUIT is PostgreSQL's own crash: no checkpoint, recovery at the next start, and no orphan that bars it.
    program = Program("postgresql", argv, folder, ready, farewell=signal.SIGINT, death=signal.SIGQUIT)
    return PostgreSQL(program, binaries, port)


@dataclass(slots=True)
class Central:
    """A central: its program, its API with the first key (scope admin), and what an edge must know of it."""

    program: Program
    config: Path
    database_url: str
    api: Api
    public_key: str
    token_key: Path


async def central(folder: Path, mqtt_url: str, database_url: str = "", name: str = "central") -> Central:
    """Set a central up, its database and its keys; it is not started yet. No database_url: SQLite."""
    home, port = folder / name, free_port()
    home.mkdir()
    config, token_key = home / "central.toml", home / "token.key"
    database_url = database_url or f"sqlite:///{home / 'central.db'}"
    table = {
        "schema": 1,
        "database": {"url": database_url},
        "mqtt": {"url": mqtt_url},
        "http": {"host": "127.0.0.1", "port": port},
        "crypto": {"suite": "sm", "signing_key": f"file:{home / 'signing.key'}", "token_key": f"file:{token_key}"},
        "log": {"level": "warning"},
    }
    config.write_text(tomli_w.dumps(table), encoding="utf-8")
    argv = [sys.executable, "-m", "edge.cli.main", "central"]
    said = await _output(*argv, "init", "-c", str(config), "--json", folder=ROOT)
    try:
        done = json.loads(said)
    except ValueError as error:
        raise ProgramEnded(f"said {said[-1500:]!r}", place="central init") from error
    program = Program(name, [*argv, "run", "-c", str(config)], folder, lambda program: listens(port, program))
    api = Api(f"http://127.0.0.1:{port}", done["api_key"])
    return Central(program, config, database_url, api, done["public_key"], token_key)


def edge(folder: Path, config: Path, **environ: str) -> Program:
    """Return the daemon of a configuration; it is not started yet."""
    argv = [sys.executable, "-m", "edge.cli.main", "edge", "run", "-c", str(config)]
    return Program(config.stem, argv, folder, environ=environ)


@dataclass(slots=True)
class Stack:
    """Broker and central, and PostgreSQL where central's data lie there."""

    folder: Path
    broker: Broker
    central: Central
    postgresql: PostgreSQL | None


@contextlib.asynccontextmanager
async def running_stack(engine: Engine, folder: Path) -> AsyncIterator[Stack]:
    """Start broker, database and central; stop them at the end."""
    async with contextlib.AsyncExitStack() as exits:
        broker = mosquitto(folder)
        await exits.enter_async_context(running(broker.program))
        server, database_url = None, ""
        if engine == "postgresql":
            server = await postgresql(folder)
            await exits.enter_async_context(running(server.program))
            database_url = await server.create("central")
        aggregator = await central(folder, broker.url, database_url)
        await exits.enter_async_context(running(aggregator.program))
        yield Stack(folder, broker, aggregator, server)


def _postgresql_binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        raise ProgramEnded("is not installed", place="PostgreSQL", cure="apt install postgresql")
    return found[-1].parent


def _found(program: str) -> str:
    path = shutil.which(program, path=_PATH)
    if path is None:
        raise ProgramEnded("is not installed", place=program)
    return path


async def _output(*argv: str, folder: Path | None = None) -> str:
    """Run a program to its end; return what it printed; raise ProgramEnded where it fails."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=folder
    )
    out, err = await process.communicate()
    if process.returncode:
        raise ProgramEnded(f"ended with {process.returncode}: {err.decode()[-1500:]}", place=argv[0])
    return out.decode()
