"""Real SIP programs as the platform above: Kamailio registers and relays, SIPp behind it queries and invites."""

import asyncio
import contextlib
import re
import shutil
import socket
from datetime import UTC, datetime

import pytest

from core.errors import DeviceRefused
from drivers.gb28181.catalog import Camera
from edge.upward.gb28181 import UpperPlatform, Upward
from edge.upward.sip import Peer

pytestmark = [pytest.mark.real, pytest.mark.slow]

UPPER, OWN, DOMAIN, PASSWORD = "34020000002000000001", "34020000001320000001", "3402000000", "12345678"
CAMERAS = [Camera(f"3402000000132{n:07d}", f"车道{n}", vendor="Hikvision", model="IPC") for n in range(11, 31)]

KAMAILIO = """
debug=1
log_stderror=yes
children=2
tcp_children=2
auto_aliases=no
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "auth.so"
loadmodule "textops.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
request_route {{
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("{domain}", "{password}", "0")) {{
            www_challenge("{domain}", "{qop}");
            exit;
        }}
        save("location");
        exit;
    }}
    if (is_method("MESSAGE") && $fU == "{own}") {{
        if (search_body("Keepalive")) {{
            sl_send_reply("200", "OK");
            exit;
        }}
        $du = "sip:127.0.0.1:{sipp}";
        t_relay();
        exit;
    }}
    if (is_method("ACK")) {{
        t_check_trans();
        exit;
    }}
    if (!lookup("location")) {{
        sl_send_reply("404", "Not registered");
        exit;
    }}
    t_relay();
}}
"""

REQUEST = """
  <send retrans="500"><![CDATA[
{method} sip:{own}@127.0.0.1:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]
From: <sip:{upper}@{domain}>;tag=[pid]SIPpTag[call_number]
To: <sip:{own}@{domain}>
Call-ID: [call_id]
CSeq: {number} {method}
Contact: <sip:{upper}@[local_ip]:[local_port]>
Max-Forwards: 70
{typed}Content-Length: [len]

{body}]]></send>
  <recv response="100" optional="true"></recv>
  <recv response="{status}">{action}</recv>
"""

ACK = """
  <send><![CDATA[
ACK sip:{own}@127.0.0.1:[remote_port] SIP/2.0
[last_Via:]
From: <sip:{upper}@{domain}>;tag=[pid]SIPpTag[call_number]
[last_To:]
Call-ID: [call_id]
CSeq: 2 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
"""

CATALOG = """<?xml version="1.0" encoding="GB2312"?>
<Query>
<CmdType>Catalog</CmdType>
<SN>17430</SN>
<DeviceID>{own}</DeviceID>
</Query>
"""

SDP = """v=0
o={upper} 0 0 IN IP4 127.0.0.1
s=Play
c=IN IP4 127.0.0.1
t=0 0
m=video 6000 RTP/AVP 96
a=recvonly
a=rtpmap:96 PS/90000
y=0100000001
"""

OUT_OF_CALL = """<?xml version="1.0" encoding="UTF-8"?>
<scenario name="answers">
  <recv request="MESSAGE"></recv>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[pid]SIPpTag[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
</scenario>
"""

ALLOWED = '<action><ereg regexp="MESSAGE" search_in="hdr" header="Allow:" check_it="true" assign_to="1"/></action>'


def scenario():
    names = {"own": OWN, "upper": UPPER, "domain": DOMAIN}
    steps = [
        REQUEST.format(method="OPTIONS", number=1, typed="", body="", status=200, action=ALLOWED, **names),
        REQUEST.format(
            method="INVITE",
            number=2,
            typed="Content-Type: application/sdp\n",
            body=SDP.format(**names),
            status=488,
            action="",
            **names,
        ),
        ACK.format(**names),
        REQUEST.format(
            method="MESSAGE",
            number=3,
            typed="Content-Type: Application/MANSCDP+xml\n",
            body=CATALOG.format(**names),
            status=200,
            action="",
            **names,
        ),
    ]
    used = '<Reference variables="1"/>'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="upper">{"".join(steps)}<pause milliseconds="1500"/>{used}</scenario>'


def free_port():
    """A port that is free for UDP and TCP alike."""
    while True:
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                udp.bind(tcp.getsockname())
                return tcp.getsockname()[1]


@contextlib.asynccontextmanager
async def kamailio(folder, sipp, qop):
    program = shutil.which("kamailio", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if program is None:
        pytest.skip("kamailio is not installed")
    port = free_port()
    config = folder / "kamailio.cfg"
    config.write_text(
        "#!KAMAILIO\n" + KAMAILIO.format(port=port, sipp=sipp, domain=DOMAIN, password=PASSWORD, own=OWN, qop=qop)
    )
    command = [program, "-DD", "-E", "-m", "32", "-M", "4", "-Y", str(folder), "-f", str(config)]
    with (folder / "kamailio.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
    try:
        async with asyncio.timeout(20):
            while True:
                assert process.returncode is None, (folder / "kamailio.log").read_text()
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                break
        yield port
    finally:
        process.terminate()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def registered(port, transport, password=PASSWORD, expires_s=3600):
    peer = Peer("127.0.0.1", port, transport)
    settings = UpperPlatform(peer, UPPER, OWN, password, keepalive_s=0.2, expires_s=expires_s)
    below = Upward(settings, lambda: CAMERAS, wall=lambda: datetime.now(UTC))
    task = asyncio.create_task(below.run())
    try:
        while not below.state.registered and not task.done():
            await asyncio.sleep(0.01)
        if task.done():
            task.result()
        yield below
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.mark.parametrize("qop", ["0", "1"], ids=["plain", "qop"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_kamailio_takes_our_digest_our_refresh_and_our_keepalives(tmp_path, transport, qop):
    async with asyncio.timeout(60), kamailio(tmp_path, 9, qop) as port:
        async with registered(port, transport, expires_s=4) as below:
            counts = below.state.counts
            while counts.registrations < 2 or counts.keepalives < 3:
                await asyncio.sleep(0.02)
            assert (counts.missed, counts.sip.broken, counts.sip.strangers) == (0, 0, 0)
        with pytest.raises(DeviceRefused):
            async with registered(port, transport, password="wrong"):
                pass


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_sipp_behind_kamailio_gets_a_catalog_a_200_and_a_488(tmp_path, transport):
    if shutil.which("sipp") is None:
        pytest.skip("sipp is not installed")
    sipp, log = free_port(), tmp_path / "messages.log"
    (tmp_path / "upper.xml").write_text(scenario())
    (tmp_path / "answers.xml").write_text(OUT_OF_CALL)
    async with asyncio.timeout(60), kamailio(tmp_path, sipp, "0") as port, registered(port, transport) as below:
        run = await asyncio.create_subprocess_exec(
            *("sipp", f"127.0.0.1:{port}", "-sf", str(tmp_path / "upper.xml"), "-oocsf", str(tmp_path / "answers.xml")),
            *("-i", "127.0.0.1", "-p", str(sipp), "-m", "1", "-timeout", "20", "-nostdin"),
            *("-trace_msg", "-message_file", str(log)),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told, _ = await run.communicate()
        trace = log.read_bytes().decode("gb18030", "replace")
        assert run.returncode == 0, told[-2000:].decode(errors="replace") + trace[-3000:]
        counts = below.state.counts
        assert (counts.queries, counts.unanswered, counts.sip.broken) == (1, 0, 0)
    answers = re.findall(r"<Response><CmdType>Catalog</CmdType><SN>17430</SN>.*?</Response>", trace, re.DOTALL)
    assert len(answers) == counts.answers > 1
    assert {re.search(r"<SumNum>(\d+)</SumNum>", one)[1] for one in answers} == {"20"}
    items = re.findall(r"<Item><DeviceID>(\d{20})</DeviceID><Name>(.*?)</Name>", "".join(answers))
    assert items == [(camera.device_id, camera.name) for camera in CAMERAS]
