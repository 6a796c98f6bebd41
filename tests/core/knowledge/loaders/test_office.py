"""Word, PowerPoint and Excel files, as others write them."""

import io
from datetime import date, datetime, time
from typing import Protocol

import pytest
from docx import Document as WordDocument
from openpyxl import Workbook
from pptx import Presentation

from agentctl.core.errors import InputEncrypted, InputHostile, InputUnreadable
from agentctl.core.knowledge.documents import Document
from agentctl.core.knowledge.loaders.registry import loader_for
from tests.support.sample_files import docx, packed


class Saveable(Protocol):
    def save(self, file: io.BytesIO) -> None: ...


def saved(file: Saveable) -> bytes:
    file.save(data := io.BytesIO())
    return data.getvalue()


def load(data: bytes, name: str) -> Document:
    loader = loader_for(name, data)
    assert loader is not None
    return loader.load(data, name)


# Word


def test_a_word_document_becomes_markdown_under_its_headings() -> None:
    word = WordDocument()
    word.add_heading("The Title", 0)
    word.add_paragraph("Intro\twith a tab")
    word.add_heading("One", 1)
    word.add_paragraph("an item", style="List Bullet")
    word.add_heading("Sub", 2)
    table = word.add_table(2, 2)
    for cell, text in zip(
        [*table.row_cells(0), *table.row_cells(1)], ("a|b", "head", "x", "y"), strict=False
    ):
        cell.text = text

    document = load(saved(word), "a.docx")

    assert document.title == "The Title"
    assert [section.heading for section in document.sections] == [
        ("The Title",),
        ("One",),
        ("One", "Sub"),
    ]
    assert document.text == (
        "# The Title\n\nIntro\twith a tab\n\n# One\n\n- an item\n## Sub\n\n"
        "| a\\|b | head |\n| --- | --- |\n| x | y |\n"
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<w:p><w:r><w:t>one</w:t><w:br/><w:t>two</w:t></w:r></w:p>", "one\ntwo\n"),
        ("<w:p><w:ins><w:r><w:t>new</w:t></w:r></w:ins></w:p>", "new\n"),
        ("<w:p><w:r><w:delText>old</w:delText><w:t>kept</w:t></w:r></w:p>", "kept\n"),
        (
            "<w:sdt><w:sdtContent><w:p><w:r><w:t>form</w:t></w:r></w:p></w:sdtContent></w:sdt>",
            "form\n",
        ),
        ("<w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr><w:r><w:t>x</w:t></w:r></w:p>", "x\n"),
        ("", ""),
    ],
)
def test_what_word_shows_is_read_and_what_it_hides_is_not(body: str, text: str) -> None:
    assert load(docx(body), "a.docx").text == text


# PowerPoint


def test_slides_are_pages_with_their_titles_tables_and_notes() -> None:
    slides = Presentation()
    first = slides.slides.add_slide(slides.slide_layouts[1])
    first.shapes.title.text = "First"
    first.placeholders[1].text = "point 1\npoint 2"
    first.notes_slide.notes_text_frame.text = "say hello"
    second = slides.slides.add_slide(slides.slide_layouts[5])
    second.shapes.title.text = "Second"
    second.shapes.add_table(1, 2, 0, 0, 100, 100).table.cell(0, 1).text = "cell"

    document = load(saved(slides), "a.pptx")

    assert document.title == "First"
    assert [(section.page, section.heading) for section in document.sections] == [
        (1, ("First",)),
        (2, ("Second",)),
    ]
    assert document.text == (
        "# First\n\npoint 1\npoint 2\n\nNotes: say hello\n\n# Second\n\n|  | cell |\n"
    )


# Excel


def test_sheets_are_tables_of_values() -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Data"
    sheet.append(["name", "when", "number", "is it"])
    sheet.append(["x", datetime(2024, 2, 29, 12, 30), 0.1 + 0.2, True])  # noqa: DTZ001
    sheet.append([None, date(2024, 3, 1), 7, "two\nlines"])
    sheet.append([time(8, 30)])
    book.create_sheet("Second").append(["only"])

    document = load(saved(book), "a.xlsx")

    assert [(section.heading, section.kind) for section in document.sections] == [
        (("Data",), "table"),
        (("Second",), "table"),
    ]
    assert document.text == (
        "# Data\n\nname | when | number | is it\nx | 2024-02-29 12:30:00 | 0.3 | TRUE\n"
        " | 2024-03-01 | 7 | two lines\n08:30:00\n# Second\n\nonly\n"
    )


def test_a_formula_shows_what_it_came_to_and_a_far_cell_costs_little() -> None:
    namespace = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    links = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    row = '<row><c r="A1"><f>1+1</f><v>2</v></c><c r="XFD1"><v>3</v></c></row>'
    data = packed(
        {
            "xl/workbook.xml": f'<workbook xmlns="{namespace}" xmlns:r="{links}">'
            '<sheets><sheet name="S" r:id="r1"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": '<Relationships><Relationship Id="r1" '
            'Type="x/worksheet" Target="/xl/sheet.xml"/></Relationships>',
            "xl/sheet.xml": f'<worksheet xmlns="{namespace}"><sheetData>{row * 3}</sheetData>'
            "</worksheet>",
        }
    )

    document = load(data, "a.xlsx")

    assert document.text.startswith("# S\n\n2 | ")
    assert len(document.text) < 1000


# Files that mean harm


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    "<document><body><p><r><t>&b;</t></r></p></body></document>"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_before_they_are_read(encoding: str) -> None:
    data = packed({"word/document.xml": f"<!-- {'x' * 9000} -->{BOMB}".encode(encoding)})

    with pytest.raises(InputHostile, match="declares entities"):
        load(data, "a.docx")


def test_a_zip_bomb_is_refused_by_what_it_declares() -> None:
    data = bytearray(packed({"word/document.xml": "<a/>" * 100}))
    size = (400).to_bytes(4, "little")
    position = data.rindex(b"PK\1\2") + 24
    assert data[position : position + 4] == size
    data[position : position + 4] = (2_000_000_000).to_bytes(4, "little")

    with pytest.raises(InputHostile, match="would unpack to more than"):
        load(bytes(data), "a.docx")


def test_a_part_larger_than_it_declares_is_not_inflated_further() -> None:
    data = bytearray(packed({"word/document.xml": "<a/>" * 1_000_000}))
    position = data.rindex(b"PK\1\2") + 24
    data[position : position + 4] = (100).to_bytes(4, "little")

    # zipfile finds the wrong checksum; the reader makes a typed error of it.
    with pytest.raises(Exception, match="CRC"):
        load(bytes(data), "a.docx")


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b"no zip", InputUnreadable, "damaged"),
        (docx("")[:-30], InputUnreadable, "damaged"),
        (packed({"other.xml": "<a/>"}), InputUnreadable, "lacks its part"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 Word 97", InputUnreadable, "older format"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            InputEncrypted,
            "password",
        ),
    ],
)
def test_what_is_no_office_file_says_so(
    data: bytes, kind: type[InputUnreadable], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        load(data, "a.docx")
    assert type(caught.value) is kind
