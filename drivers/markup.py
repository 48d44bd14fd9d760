"""XML from peers: no DTD, no entities, bounded in depth, bytes and elements. Namespaces are kept as `{uri}name`."""

import re
from typing import Final
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from core.errors import FrameInvalid

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 64
MAX_ELEMENTS: Final = 20_000
"""A megabyte of `<a/>` would be 260,000 elements, and a hundred times as much memory."""
_CHINESE = re.compile(rb"""<\?xml[^>]{0,80}encoding=["'](gb2312|gbk|gb18030)["']""", re.IGNORECASE)


class _Bounded(TreeBuilder):
    """Builds a tree; refuses a DTD, an element too deep, and one too many."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._elements = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FrameInvalid(f"XML nested deeper than {MAX_DEPTH}")
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise FrameInvalid(f"XML of more than {MAX_ELEMENTS} elements")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)

    def doctype(self, *_named: str | None) -> None:
        raise FrameInvalid("XML with a DTD")


def parse_xml(data: bytes, *, encoding: str | None = None) -> Element:
    """Return the root; `encoding` (`utf-8`, `gb18030`) overrides what the document declares. Raises FrameInvalid."""
    if len(data) > MAX_BYTES:
        raise FrameInvalid(f"XML of more than {MAX_BYTES} bytes")
    if encoding is None and _CHINESE.match(data.lstrip()[:128]):
        encoding = "gb18030"
    if encoding == "gb18030":  # expat knows no encoding of several bytes but UTF-8 and UTF-16
        data, encoding = data.decode("gb18030", errors="replace").encode(), "utf-8"
    parser = XMLParser(target=_Bounded(), encoding=encoding)  # noqa: S314 a DTD, and so every entity, is refused
    try:
        parser.feed(data)
        root = parser.close()
    except (ParseError, LookupError, ValueError) as error:
        raise FrameInvalid(f"not XML: {error}") from error
    assert isinstance(root, Element)
    return root


def local(tag: str) -> str:
    """Return a tag without its namespace."""
    return tag.rpartition("}")[2]


def find(element: Element, *names: str) -> Element | None:
    """Return what lies at the path of local names below an element, whatever their namespaces."""
    at: Element | None = element
    for name in names:
        at = None if at is None else next((child for child in at if local(child.tag) == name), None)
    return at


def text(element: Element, *names: str) -> str:
    """Return the text at a path of local names, stripped; empty where there is none."""
    found = find(element, *names)
    return "" if found is None else (found.text or "").strip()
