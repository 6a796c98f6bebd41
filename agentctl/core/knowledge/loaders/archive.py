"""Zip archives and XML of strangers, opened so that neither can blow up."""

from collections.abc import Iterator
from io import BytesIO
from typing import IO, TYPE_CHECKING
from xml.etree.ElementTree import Element

from agentctl.core.errors import InputEncrypted, InputHostile, InputUnreadable

if TYPE_CHECKING:
    from zipfile import ZipInfo

# What the parts of one file may have together when inflated, in bytes.
_INFLATED_LIMIT = 500_000_000
# How an Office file with a password begins: an OLE compound file around the encrypted zip.
_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_DAMAGED = "open it in the program that made it and save it again"
_ENCRYPTED = "save a copy of it without the password"


class Archive:
    """The parts of a zip file. No part is larger than it says, nor all of them than the limit."""

    def __init__(self, data: bytes, name: str) -> None:
        """Raises InputUnreadable when this is no zip, InputEncrypted when it has a password."""
        from zipfile import BadZipFile, ZipFile

        self.name = name
        self._left = _INFLATED_LIMIT
        if data.startswith(_OLE_MAGIC):
            if _ENCRYPTED_PACKAGE in data:
                raise InputEncrypted(f"{name} is protected by a password", _ENCRYPTED)
            raise InputUnreadable(f"{name} is in an older format", "save it in today's format")
        try:
            self._zip = ZipFile(BytesIO(data))
        except (BadZipFile, ValueError, NotImplementedError) as error:
            raise InputUnreadable(
                f"{name} is damaged, or not what its name says: {error}", _DAMAGED
            ) from None
        self._parts = {part.filename: part for part in self._zip.infolist()}

    def __contains__(self, part: str) -> bool:
        return part in self._parts

    def open(self, part: str) -> IO[bytes]:
        """The part's bytes, inflated as they are read, and never more than it declares.

        Raises:
            InputUnreadable: there is no such part.
            InputEncrypted: it has a password.
            InputHostile: with it, the archive is over the limit.
        """
        info = self._parts.get(part)
        if info is None:
            raise InputUnreadable(f"{self.name} lacks its part {part}", _DAMAGED)
        self._admit(info)
        return self._zip.open(info)

    def read(self, part: str) -> bytes:
        """As `open`, all at once. A damaged part raises what zipfile raises."""
        with self.open(part) as stream:
            return stream.read()

    def _admit(self, info: "ZipInfo") -> None:
        from zipfile import ZIP_DEFLATED, ZIP_STORED

        if info.flag_bits & 1:
            raise InputEncrypted(f"{self.name} is protected by a password", _ENCRYPTED)
        if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise InputUnreadable(f"{self.name} is compressed in an unusual way", _DAMAGED)
        # zipfile itself stops at the declared size.
        self._left -= info.file_size
        if self._left < 0:
            raise InputHostile(
                f"{self.name} would unpack to more than {_INFLATED_LIMIT:,} bytes",
                "split it, if you trust it",
            )


def parse_xml(stream: IO[bytes], name: str) -> Element:
    """The root element.

    Raises:
        InputHostile: it declares a document type, and with it possibly entities.
    """
    from xml.etree.ElementTree import parse

    _refuse_document_type(stream, name)
    return parse(stream).getroot()  # noqa: S314 - without a document type there are no entities


def xml_children(stream: IO[bytes], name: str, depth: int) -> Iterator[Element]:
    """The elements `depth` levels below the root, each forgotten once the next is asked for.

    Raises:
        InputHostile: it declares a document type, and with it possibly entities.
    """
    from xml.etree.ElementTree import iterparse

    _refuse_document_type(stream, name)
    above: list[Element] = []
    for event, element in iterparse(stream, ("start", "end")):  # noqa: S314 - likewise
        if event == "start":
            above.append(element)
            continue
        above.pop()
        if len(above) == depth:
            yield element
        if 0 < len(above) <= depth:
            above[-1].remove(element)


def local_name(element: Element) -> str:
    """The element's name without its namespace, of which Office has two sets."""
    return element.tag.rpartition("}")[2]


def attribute(element: Element, name: str) -> str | None:
    """The value of the attribute of that local name."""
    return next((v for key, v in element.items() if key.rpartition("}")[2] == name), None)


class _RootReached(Exception):
    """Everything before the root element was looked at."""


def _refuse_document_type(stream: IO[bytes], name: str) -> None:
    """Office Open XML forbids document types (ECMA-376 part 2, 9.1.6); bombs are made of them."""
    from xml.parsers.expat import ParserCreate

    def refuse(*_: object) -> None:
        raise InputHostile(f"{name} declares entities in its XML", "do not open it")

    def stop(*_: object) -> None:
        raise _RootReached

    parser = ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = stop
    try:
        while piece := stream.read(4096):
            parser.Parse(piece)
    except _RootReached:
        pass
    stream.seek(0)
