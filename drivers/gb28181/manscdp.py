"""MANSCDP: the XML bodies of GB/T 28181 MESSAGEs (GB/T 28181-2016, Annex A).

    <Query|Control|Notify|Response> <CmdType/> <SN/> <DeviceID/> ... </...>

Content-Type `Application/MANSCDP+xml`; GB2312 unless the document declares another encoding. What GB2312 lacks, such
as traditional characters, leaves as a character reference, which every XML reader knows.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, tostring

from core.errors import FrameInvalid
from drivers.markup import find, local, parse_xml, text

CONTENT_TYPE: Final = "Application/MANSCDP+xml"
MAX_ITEMS: Final = 1000
"""In one message; a device sends some per MESSAGE."""
ROOTS: Final = frozenset({"Query", "Control", "Notify", "Response"})
KNOWN: Final = frozenset({
    "Alarm", "Broadcast", "Catalog", "ConfigDownload", "CruiseTrackListQuery", "CruiseTrackQuery", "DeviceConfig",
    "DeviceControl", "DeviceInfo", "DeviceStatus", "DeviceUpgradeResult", "HomePositionQuery", "Keepalive",
    "MediaStatus", "MobilePosition", "PTZPosition", "PresetQuery", "RecordInfo", "SDCardStatus", "SnapShotConfig",
    "UploadSnapShotFinished", "VideoUploadNotify",
})  # fmt: skip
"""Command types of the 2016 and 2022 editions."""
SECRET: Final = frozenset({"password", "newpassword", "oldpassword"})
"""Elements whose text is never told: ConfigDownload carries the password of the platform."""
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DECLARED: Final = {"gb2312": "GB2312", "gb18030": "GB18030", "utf-8": "UTF-8"}
_NUMBER = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Manscdp:
    """One body. `fields` are the elements with text and no children, `items` those of the list."""

    root: str
    cmd: str
    sn: int
    device_id: str
    fields: dict[str, str]
    items: tuple[dict[str, str], ...] = ()

    @property
    def sum_num(self) -> int | None:
        """How many items there are in all messages of this SN; None where it is not told."""
        found = _NUMBER.fullmatch(self.fields.get("SumNum", ""))
        return int(found[0]) if found else None


def parse_body(body: bytes) -> Manscdp:
    """Return what a body says; raise FrameInvalid. The declared encoding is honoured, none is UTF-8 or else GB18030."""
    root = _root(body)
    name = local(root.tag)
    sn = text(root, "SN")
    if name not in ROOTS or not text(root, "CmdType") or not _NUMBER.fullmatch(sn):
        raise FrameInvalid(f"XML that is not MANSCDP: {name[:20]!r}")
    return Manscdp(
        root=name,
        cmd=text(root, "CmdType")[:64],
        sn=int(sn),
        device_id=text(root, "DeviceID")[:64],
        fields=_leaves(root),
        items=tuple(_items(root)),
    )


def describe(body: Manscdp) -> dict[str, Any]:
    """Return a body as JSON values, for people."""
    fields = body.fields
    told: dict[str, Any] = {"root": body.root, "cmd": body.cmd, "sn": body.sn, "device_id": body.device_id}
    plain = {"Status": "status", "Manufacturer": "manufacturer", "Model": "model", "Firmware": "firmware"}
    plain |= {"DeviceName": "name", "Result": "result", "PTZCmd": "ptz"}
    told |= {plain[key]: value for key, value in fields.items() if key in plain}
    if _NUMBER.fullmatch(fields.get("Channel", "")):
        told["channels"] = int(fields["Channel"])
    if "Online" in fields:
        told["online"] = fields["Online"].upper() == "ONLINE"
    if body.sum_num is not None:
        told["sum_num"] = body.sum_num
        told["complete"] = len({item.get("DeviceID") for item in body.items}) >= body.sum_num
    if body.items:
        told["items"] = [_item(item) for item in body.items]
    return told


def build(
    root: str, cmd: str, sn: int, device_id: str, fields: Sequence[tuple[str, str]] = (), *, encoding: str = "gb2312"
) -> bytes:
    """Return a body; `encoding` is gb2312, gb18030 or utf-8."""
    return write(_element(root, cmd, sn, device_id, fields), encoding)


def keepalive(sn: int, device_id: str, *, faulty: Sequence[str] = (), encoding: str = "gb2312") -> bytes:
    """Return the Notify that says that we live, and which cameras are faulty."""
    element = _element("Notify", "Keepalive", sn, device_id, (("Status", "OK"),))
    if faulty:
        info = SubElement(element, "Info")
        for name in faulty:
            SubElement(info, "DeviceID").text = name
    return write(element, encoding)


def list_response(
    cmd: str, sn: int, device_id: str, total: int, items: Sequence[Sequence[tuple[str, str]]], *, encoding: str
) -> bytes:
    """Return one MESSAGE's share of a list of `total` items."""
    element = _element("Response", cmd, sn, device_id, (("SumNum", str(total)),))
    holder = SubElement(element, "DeviceList", Num=str(len(items)))
    for fields in items:
        _fill(SubElement(holder, "Item"), fields)
    return write(element, encoding)


def write(element: Element, encoding: str) -> bytes:
    """Return a document with its declaration."""
    head = f'<?xml version="1.0" encoding="{_DECLARED[encoding]}"?>\r\n'
    return (head + tostring(element, encoding="unicode") + "\r\n").encode(encoding, "xmlcharrefreplace")


def _element(root: str, cmd: str, sn: int, device_id: str, fields: Sequence[tuple[str, str]]) -> Element:
    element = Element(root)
    _fill(element, (("CmdType", cmd), ("SN", str(sn)), ("DeviceID", device_id), *fields))
    return element


def _fill(element: Element, fields: Sequence[tuple[str, str]]) -> None:
    for name, value in fields:
        SubElement(element, name).text = _NOT_XML.sub("", value)


def _root(body: bytes) -> Element:
    try:
        return parse_xml(body)
    except FrameInvalid:
        if body.lstrip()[:5] == b"<?xml" and b"encoding" in body[:80]:
            raise
        return parse_xml(body, encoding="gb18030")


def _leaves(element: Element, found: dict[str, str] | None = None) -> dict[str, str]:
    """Return the text of what has no children, outer and earlier elements first; lists are left out."""
    found = {} if found is None else found
    for child in element:
        name = local(child.tag)
        if len(child):
            if not _is_list(child):
                _leaves(child, found)
        else:
            found.setdefault(name, "***" if name.lower() in SECRET else (child.text or "").strip())
    return found


def _is_list(element: Element) -> bool:
    return any(local(child.tag) == "Item" for child in element)


def _items(root: Element) -> Iterator[dict[str, str]]:
    count = 0
    for holder in filter(_is_list, root):
        for item in holder:
            count += 1
            if count > MAX_ITEMS:
                raise FrameInvalid(f"more than {MAX_ITEMS} items in one message")
            yield _leaves(item)
    faulty = find(root, "Info")
    if faulty is not None and text(root, "CmdType") == "Keepalive":
        yield from ({"DeviceID": (one.text or "").strip()} for one in faulty if local(one.tag) == "DeviceID")


def _item(item: dict[str, str]) -> dict[str, str]:
    name = item.get("DeviceID", "")
    return {
        "id": name,
        "type_code": name[10:13] if len(name) == 20 else "",
        "name": item.get("Name", ""),
        "status": item.get("Status", ""),
    }
