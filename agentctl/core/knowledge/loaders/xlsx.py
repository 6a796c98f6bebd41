"""Excel workbooks (SpreadsheetML, ECMA-376 part 1, chapter 18): sheets as tables of values."""

import re
from collections.abc import Iterator
from typing import ClassVar
from xml.etree.ElementTree import Element

from agentctl.core.knowledge.documents import Document
from agentctl.core.knowledge.loaders.archive import local_name
from agentctl.core.knowledge.loaders.base import DocumentBuilder, one_line
from agentctl.core.knowledge.loaders.office import Package, related

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# 18.8.30: the built-in formats of dates and times.
_DATE_FORMATS = {*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)}
_NO_FORMAT_LETTERS = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.')
# A row may name a cell in column 16,384 and no other: so many empty ones in between are shown.
_WIDEST_GAP = 64


class XlsxLoader:
    """A section for each sheet, a line for each row; formulas show as what they came to."""

    is_isolated: ClassVar[bool] = True

    def load(self, data: bytes, name: str) -> Document:
        package = Package(data, name)
        workbook = package.main_part("xl/workbook.xml")
        values = _Values(package, workbook)
        builder = DocumentBuilder()
        for sheet, part in package.listed(workbook, "sheet"):
            title = one_line(sheet.get("name", ""))
            builder.begin((title,), kind="table")
            builder.add(f"# {title}")
            for data_element in package.children(part, depth=2):
                if local_name(data_element) == "row":
                    builder.add(values.row(data_element), end="\n")
        return builder.document(package.title, MEDIA_TYPE)


class _Values:
    """What the cells of a workbook say."""

    def __init__(self, package: Package, workbook: str) -> None:
        relations = package.relations(workbook)
        strings, styles = related(relations, "sharedStrings"), related(relations, "styles")
        root = package.root(workbook)
        properties = root.find("{*}workbookPr") if root is not None else None
        self._is_1904 = properties is not None and properties.get("date1904") in ("1", "true")
        self._strings = [_string(item) for item in package.children(strings, 1)] if strings else []
        self._date_styles = set(_date_styles(package.root(styles))) if styles else set()

    def row(self, row: Element) -> str:
        cells: list[str] = []
        for cell in row:
            gap = _column(cell.get("r", "")) - len(cells)
            cells.extend([""] * min(gap, _WIDEST_GAP))
            cells.append(" ".join(self._value(cell).split()))
        return " | ".join(cells).rstrip(" |")

    def _value(self, cell: Element) -> str:
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            return _string(cell)
        value = cell.findtext("{*}v") or ""
        if kind == "s":
            index = int(value) if value.isdecimal() else -1
            return self._strings[index] if 0 <= index < len(self._strings) else ""
        if kind == "b":
            return "TRUE" if value == "1" else "FALSE"
        return self._number(value, cell.get("s", "0")) if kind == "n" else value

    def _number(self, value: str, style: str) -> str:
        try:
            number = float(value)
            if style in self._date_styles:
                return _date(number, self._is_1904)
        except (ValueError, OverflowError):
            return value
        return f"{number:.15g}" if "." in value or "E" in value else value


def _string(item: Element) -> str:
    """The text of a string in pieces, without its reading aid for Japanese."""
    found = (each for each in item.iter() if local_name(each) in ("t", "rPh"))
    pieces: list[str] = []
    for each in found:
        if local_name(each) == "rPh":
            break
        pieces.append(each.text or "")
    return "".join(pieces)


def _column(reference: str) -> int:
    """Counted from 0: 27 for "AB12"; 0 when the reference is missing."""
    number = 0
    for letter in reference[:3]:
        if "A" <= letter <= "Z":
            number = number * 26 + ord(letter) - ord("A") + 1
    return max(number - 1, 0)


def _date_styles(root: Element | None) -> Iterator[str]:
    """The numbers of the cell styles that show a date or a time."""
    if root is None:
        return
    own = {
        each.get("numFmtId", ""): each.get("formatCode", "")
        for each in root.findall("{*}numFmts/{*}numFmt")
    }
    for number, style in enumerate(root.findall("{*}cellXfs/{*}xf")):
        format_id = style.get("numFmtId", "0")
        letters = _NO_FORMAT_LETTERS.sub("", own.get(format_id, "")).lower()
        is_built_in = format_id.isdecimal() and int(format_id) in _DATE_FORMATS
        if is_built_in or any(letter in letters for letter in "dmyhs"):
            yield str(number)


def _date(number: float, is_1904: bool) -> str:
    """A serial date (18.17.4.1) in ISO 8601; a time without a date when the days are 0."""
    from datetime import datetime, timedelta

    # 1900 counts as a leap year in them, so that the days before March of it are one off.
    epoch = datetime(1904, 1, 1) if is_1904 else datetime(1899, 12, 30)  # noqa: DTZ001 - local
    moment = epoch + timedelta(seconds=round(number * 86_400))
    if 0 <= number < 1:
        return moment.time().isoformat()
    return moment.date().isoformat() if number == int(number) else moment.isoformat(" ")
