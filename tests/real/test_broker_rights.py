"""The broker's configuration as it is shipped: certificates in, each edge to its own topics, workers share the load."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import aiomqtt
import pytest
import zstandard
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from central.config import MqttSection
from central.metrics import Metrics
from central.mqtt import Broker
from core.errors import LinkLost
from core.messages.envelope import pack
from core.messages.event import Stream
from core.messages.events import LaneMode, LaneModeChanged
from core.messages.wire import Ack, Presence
from edge.buffer import open_buffer
from edge.clock import Clock
from edge.sections import UplinkSection
from edge.uplink import Uplink

pytestmark = [pytest.mark.real, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
EVENT = LaneModeChanged(lane="in-1", mode=LaneMode.NORMAL, actor="anna", reason="drill")


class Authority:
    """A certificate authority of our own."""

    def __init__(self, folder, name="ca"):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.certificate = self._signed(self.name, self.key.public_key(), x509.BasicConstraints(True, None))
        (folder / f"{name}.pem").write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, common_name, file):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate = self._signed(subject, key.public_key(), names)
        (self.folder / f"{file}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        plain = serialization.NoEncryption()
        form = serialization.PrivateFormat.PKCS8
        (self.folder / f"{file}.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))

    def _signed(self, subject, key, extension):
        now = dt.datetime.now(dt.UTC)
        made = x509.CertificateBuilder(self.name, subject, key, x509.random_serial_number())
        made = made.not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(days=1))
        return made.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints)).sign(
            self.key, hashes.SHA256()
        )


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def broker(tmp_path):
    """mosquitto with the shipped configuration: only port and folders are others. Gives (port, folder)."""
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed")
    port = free_port()
    authority = Authority(tmp_path)
    for name in ("broker", "central", "north.gates", "south.gates"):
        authority.issue(name, name)
    text = (ROOT / "configs" / "mosquitto" / "gatefleet.conf").read_text(encoding="utf-8")
    text = text.replace("listener 8883", f"listener {port} 127.0.0.1").replace("/etc/gatefleet/", f"{tmp_path}/")
    text = text.replace("/etc/mosquitto/gatefleet.acl", str(ROOT / "configs" / "mosquitto" / "gatefleet.acl"))
    text = text.replace("/var/lib/mosquitto/", f"{tmp_path}/")
    mine = "user root\n" if os.geteuid() == 0 else ""  # it would lend itself another user, who cannot read the folder
    (tmp_path / "conf").write_text(text + mine, encoding="utf-8")
    process = subprocess.Popen([program, "-c", str(tmp_path / "conf")], stdout=-1, stderr=-2)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
                break
            assert process.poll() is None, process.stdout.read()
        yield port, tmp_path
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def certified(folder, name):
    return {"ca_file": folder / "ca.pem", "client_cert": folder / f"{name}.pem", "client_key": folder / f"{name}.key"}


def tls(folder, name):
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    if name:
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


class Worker:
    """One worker of central."""

    def __init__(self, port, folder, **section):
        self.batches = asyncio.Queue()
        self.up = asyncio.Event()
        self.link = Broker(
            MqttSection(url=f"mqtts://127.0.0.1:{port}", **certified(folder, "central"), **section),
            Metrics(),
            on_batch=self.batches.put_nowait,
            on_presence=lambda _edge, _presence: None,
            watermarks=self._none,
        )
        self.link.when_connected(self.up.set)

    async def _none(self):
        return []


@contextlib.asynccontextmanager
async def working(*workers):
    tasks = [asyncio.create_task(one.link.run()) for one in workers]
    await asyncio.gather(*(one.up.wait() for one in workers))
    try:
        yield workers[0]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_an_edge_with_its_certificate_delivers_and_hears_its_acks(broker):
    port, folder = broker
    clock = Clock()
    async with asyncio.timeout(30), open_buffer(folder / "buffer.db", 8_000_000, clock.stamp) as buffer:
        uplink = Uplink(
            edge="north.gates",
            section=UplinkSection(url=f"mqtts://127.0.0.1:{port}", **certified(folder, "north.gates")),
            buffer=buffer,
            clock=clock,
            presence=Presence(state="online", boot_id="b", epoch=buffer.epoch),
            on_command=lambda _raw: None,
            on_list=lambda _raw: None,
        )
        async with working(Worker(port, folder)) as central:
            running = asyncio.create_task(uplink.run())
            await buffer.append((pack(EVENT, clock.stamp()),))
            batch = await central.batches.get()
            assert (batch.edge, batch.stream) == ("north.gates", Stream.VITAL)
            ack = Ack(epoch=buffer.epoch, stream=Stream.VITAL, upto=1, at=dt.datetime.now(dt.UTC))
            await central.link.send_ack("north.gates", ack)
            while buffer.depth(Stream.VITAL).entries:
                await asyncio.sleep(0.01)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_no_edge_speaks_or_hears_for_another(broker):
    port, folder = broker
    payload = zstandard.ZstdCompressor().compress(b"[]")
    async with asyncio.timeout(30), working(Worker(port, folder)) as central:
        async with aiomqtt.Client("127.0.0.1", port, tls_context=tls(folder, "south.gates")) as south:
            await south.subscribe("gf/v1/north.gates/#", qos=1)
            await south.subscribe("gf/v1/south.gates/down/command", qos=1)
            await south.publish("gf/v1/north.gates/up/vital", payload, qos=1)
            await south.publish("gf/v1/north.gates/down/command", b"open", qos=1)
            await south.publish("gf/v1/south.gates/ack", b"{}", qos=1)
            await south.publish("gf/v1/south.gates/up/vital", payload, qos=1)
            await central.link.publish("gf/v1/north.gates/down/command", b"for north")
            await central.link.publish("gf/v1/south.gates/down/command", b"for south")
            heard = await anext(south.messages)
            assert (heard.topic.value, heard.payload) == ("gf/v1/south.gates/down/command", b"for south")
        assert (await central.batches.get()).edge == "south.gates"
        assert central.batches.empty()


async def test_who_has_no_certificate_of_ours_does_not_get_in(broker, tmp_path):
    port, folder = broker
    (tmp_path / "other").mkdir()
    Authority(tmp_path / "other", "stranger").issue("central", "central")
    stranger = ssl.create_default_context(cafile=folder / "ca.pem")
    stranger.load_cert_chain(tmp_path / "other" / "central.pem", tmp_path / "other" / "central.key")
    for context in (tls(folder, ""), stranger, None):
        with pytest.raises(aiomqtt.MqttError):
            async with aiomqtt.Client("127.0.0.1", port, tls_context=context, timeout=3):
                pytest.fail("it got in")
    worker = Worker(port, folder)
    with pytest.raises(LinkLost):
        await worker.link.publish("gf/v1/north.gates/ack", b"{}")


async def test_workers_of_one_group_share_the_batches_and_each_comes_once(broker):
    port, folder = broker
    one, two = (Worker(port, folder, shared_group="ingest") for _ in range(2))
    async with asyncio.timeout(30), working(one, two):
        async with aiomqtt.Client("127.0.0.1", port, tls_context=tls(folder, "north.gates")) as north:
            for number in range(100):
                await north.publish("gf/v1/north.gates/up/telemetry", str(number).encode(), qos=1)
        while one.batches.qsize() + two.batches.qsize() < 100:
            await asyncio.sleep(0.01)
        assert min(one.batches.qsize(), two.batches.qsize()) > 0
        got = [worker.batches.get_nowait().payload for worker in (one, two) for _ in range(worker.batches.qsize())]
        assert sorted(map(int, got)) == list(range(100))
