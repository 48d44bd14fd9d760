"""What the datagrams of a probe say, by table; the shape of an answer is that of ONVIF Core, 7.3.2 and its capture rows."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FrameInvalid, GatefleetError
from drivers.ws_discovery import (
    MAX_ADDRESSES,
    MAX_CAMERAS,
    MAX_DATAGRAM,
    CameraSighted,
    Directory,
    sighted,
    urls_at,
)

ASKED = "urn:uuid:0a6dc791-2be6-4991-9af1-454778a1917a"
ROWS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "vectors" / "onvif.jsonl").read_text(encoding="utf-8").splitlines()
]
SCOPES = (
    "onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/North%20gate onvif://www.onvif.org/hardware/D-1 "
    "onvif://www.onvif.org/location/city/hengqin onvif://www.onvif.org/location/country/china"
)


def answer(matches, related=ASKED, prefix="SOAP-ENV"):
    return (
        f'<{prefix}:Envelope xmlns:{prefix}="http://www.w3.org/2003/05/soap-envelope" '
        'xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
        'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery">'
        f"<{prefix}:Header><wsa:RelatesTo>{related}</wsa:RelatesTo></{prefix}:Header><{prefix}:Body>"
        f"<d:ProbeMatches>{matches}</d:ProbeMatches></{prefix}:Body></{prefix}:Envelope>"
    ).encode()


def match(uuid="urn:uuid:AB-1", addresses="http://10.0.0.9/onvif/device_service", scopes=SCOPES):
    return (
        f"<d:ProbeMatch><wsa:EndpointReference><wsa:Address>{uuid}</wsa:Address></wsa:EndpointReference>"
        "<d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>"
        f"<d:Scopes>{scopes}</d:Scopes><d:XAddrs>{addresses}</d:XAddrs></d:ProbeMatch>"
    )


def test_a_camera_is_told_by_name_hardware_place_and_address():
    (camera,) = sighted(answer(match()), "10.0.0.9", ASKED)
    assert camera == CameraSighted(
        uuid="ab-1",
        urls=("http://10.0.0.9/onvif/device_service",),
        name="North gate",
        hardware="D-1",
        location="city/hengqin, country/china",
        told=("http://10.0.0.9/onvif/device_service",),
    )
    assert sighted(answer(match(), related=ASKED.upper(), prefix="env"), "10.0.0.9", ASKED) == (camera,)


@pytest.mark.parametrize(
    ("told", "host", "urls"),
    [
        (["http://192.168.0.2:8080/d?x=1"], "10.0.0.9", ["http://10.0.0.9:8080/d?x=1"]),
        (["http://192.168.0.2/d", "http://10.0.0.9:81/d"], "10.0.0.9", ["http://10.0.0.9:81/d", "http://10.0.0.9/d"]),
        (["http://[fe80::1]/d"], "10.0.0.9", ["http://10.0.0.9/d"]),
        (["http://user:secret@10.0.0.9/d"], "10.0.0.9", ["http://10.0.0.9/d"]),
        (["https://camera.example:443/d"], "10.0.0.9", ["https://10.0.0.9:443/d"]),
        (["http://10.0.0.9"], "10.0.0.9", ["http://10.0.0.9/"]),
        (["http://10.0.0.9/d"], "fe80::2", ["http://[fe80::2]/d"]),
        (["soap.udp://10.0.0.9/d", "file:///etc/passwd", "javascript:1", "http://", "http://[::/", "http://a:99999/"], "10.0.0.9", []),
        (["http://a/\x00", "http://a/é"], "10.0.0.9", []),
        (["http://a/d", "http://b/d"], "10.0.0.9", ["http://10.0.0.9/d"]),
        ([f"http://a/{number}" for number in range(50)], "10.0.0.9", [f"http://10.0.0.9/{number}" for number in range(MAX_ADDRESSES)]),
    ],
)  # fmt: skip
def test_an_address_leads_to_the_host_that_answered(told, host, urls):
    assert urls_at(tuple(told), host) == tuple(urls)


@pytest.mark.parametrize(
    "data",
    [
        answer(match(), related="urn:uuid:another"),
        answer(match(), related=""),
        answer("".join(match(f"urn:uuid:{number}") for number in range(17))),
        answer(match()).replace(b"ProbeMatches", b"Hello"),
        answer(match())[:-20],
        b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + answer(match()),
        b"",
        b"x" * (MAX_DATAGRAM + 1),
    ],
)
def test_what_is_no_answer_to_the_probe_is_refused(data):
    with pytest.raises(FrameInvalid):
        sighted(data, "10.0.0.9", ASKED)


def test_a_match_without_a_name_of_its_own_is_nobody():
    assert sighted(answer(match(uuid="") + match(uuid="uuid:x")), "h", ASKED)[0].uuid == "x"


def test_what_a_camera_says_of_itself_is_bounded_and_harmless():
    scopes = "onvif://www.onvif.org/name/" + "%1b%0a" + "x" * 5000
    (camera,) = sighted(answer(match(scopes=scopes)), "10.0.0.9", ASKED)
    assert len(camera.name) <= 256
    assert camera.name.isprintable()


def test_a_camera_is_known_once_with_all_its_addresses():
    directory = Directory()
    for uuid, host in (("urn:uuid:AB-1", "10.0.0.9"), ("uuid:ab-1", "10.0.0.9"), ("ab-1", "10.1.0.9"), ("cd", "h")):
        for camera in sighted(answer(match(uuid)), host, ASKED):
            directory.add(camera)
    assert [(one.uuid, one.urls) for one in directory.cameras] == [
        ("ab-1", ("http://10.0.0.9/onvif/device_service", "http://10.1.0.9/onvif/device_service")),
        ("cd", ("http://h/onvif/device_service",)),
    ]


def test_a_directory_is_bounded():
    directory = Directory()
    for number in range(MAX_CAMERAS + 5):
        directory.add(CameraSighted(str(number), ()))
    for number in range(50):
        directory.add(CameraSighted("0", (f"http://h/{number}",)))
    assert (len(directory.cameras), directory.unheeded) == (MAX_CAMERAS, 5)
    assert len(directory.cameras[0].urls) == MAX_ADDRESSES


@pytest.mark.parametrize("row", ROWS[1:], ids=[row["source"][:40] for row in ROWS[1:]])
def test_other_answers_of_real_cameras_are_no_sightings(row):
    with pytest.raises(GatefleetError):
        sighted(row["input"].encode(), "10.0.0.9", ASKED)


@given(st.binary(max_size=300), st.integers(0, 1500), st.text(max_size=60))
def test_no_bytes_break_it(junk, at, host):
    good = answer(match())
    for hostile in (junk, good[:at] + junk + good[at:], good[: at % len(good)]):
        with contextlib.suppress(GatefleetError):
            for camera in sighted(hostile, "10.0.0.9", ASKED):
                assert all(url.partition("://")[2].startswith("10.0.0.9") for url in camera.urls)
    assert len(urls_at((host, f"http://{host}/"), "h")) <= 2
