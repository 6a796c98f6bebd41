"""Documents that go along with a prompt: their text does."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from agentctl.core.chat.attachments import Attachment, InputLimits, load_attachments
from agentctl.core.errors import InputEncrypted, InputTooLarge, InputUnreadable
from tests.support.sample_files import ENCRYPTED_PDF, docx, packed, pdf

LIMITS = InputLimits(1_000_000, 10, 1.0)


def attached(folder: Path, name: str, data: bytes) -> Attachment:
    (folder / name).write_bytes(data)
    (attachment,) = load_attachments((str(folder / name),), None, LIMITS).attachments
    return attachment


def test_of_a_pdf_the_text_goes_along(tmp_path: Path) -> None:
    attachment = attached(tmp_path, "report.pdf", pdf("The lamp is green."))
    assert (attachment.media_type, attachment.image) == ("application/pdf", None)
    assert "The lamp is green." in (attachment.text or "")


def test_of_an_office_document_the_text_goes_along(tmp_path: Path) -> None:
    attachment = attached(
        tmp_path, "letter.docx", docx("<w:p><w:r><w:t>Dear all</w:t></w:r></w:p>")
    )
    assert (attachment.text or "").strip() == "Dear all"


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("archive.zip", packed({"a.txt": "a"}), InputUnreadable),
        ("broken.pdf", b"%PDF-1.7 and no more", InputUnreadable),
        ("secret.pdf", ENCRYPTED_PDF, InputEncrypted),
    ],
)
def test_what_has_no_text_is_refused(
    name: str, data: bytes, error: type[InputUnreadable], tmp_path: Path
) -> None:
    with pytest.raises(error, match=name):
        attached(tmp_path, name, data)


def letters(folder: Path, number: int, words: int) -> None:
    for each in range(number):
        body = f"<w:p><w:r><w:t>{'word ' * words}</w:t></w:r></w:p>"
        (folder / f"{each}.docx").write_bytes(docx(body))


def test_the_text_of_a_folders_documents_counts_and_not_how_small_it_is_packed(
    tmp_path: Path,
) -> None:
    letters(tmp_path, 3, words=100_000)
    assert sum(each.stat().st_size for each in tmp_path.iterdir()) < LIMITS.bytes

    with pytest.raises(InputTooLarge, match=r"is larger than 1,000,000 bytes"):
        load_attachments((str(tmp_path),), None, LIMITS)


def test_one_process_reads_all_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    start = subprocess.Popen

    def noted(*arguments: Any, **options: Any) -> "subprocess.Popen[bytes]":
        started.append(start(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)
    letters(tmp_path, 3, words=1)

    loaded = load_attachments((str(tmp_path), str(tmp_path / "0.docx")), None, LIMITS)

    assert len(loaded.attachments) == 4
    (process,) = started
    assert process.poll() is not None
