"""How an ingest is shown while it goes on."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from agentctl.core.knowledge.library import IngestStep
from agentctl.render.ingest import Bar, IngestPrinter
from agentctl.render.output import Output

FOLDER = Path("/home/ada")


def embedding(pending: int, embedded: Iterable[int]) -> list[IngestStep]:
    return [
        IngestStep(
            status="embedding",
            path="/home/ada/big.md",
            total=4,
            files=2,
            embedded=number,
            pending=pending,
        )
        for number in embedded
    ]


def test_without_a_bar_a_long_file_is_told_when_it_begins_and_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    printer = IngestPrinter(Output("ingest", plain=True), FOLDER)
    for step in embedding(1_000, range(0, 1_001, 100)):
        printer.show(step)
    for step in embedding(200, range(0, 201, 100)):
        printer.show(step)

    assert capsys.readouterr().err.splitlines() == [
        "embedding big.md: 1,000 chunks",
        "embedding big.md: 300 of 1,000 chunks",
        "embedding big.md: 600 of 1,000 chunks",
        "embedding big.md: 900 of 1,000 chunks",
    ]


def test_the_bar_moves_while_a_large_file_is_embedded_and_never_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[float] = []
    monkeypatch.setattr(Bar, "can_draw", True)
    printer = IngestPrinter(Output("ingest"), FOLDER)
    stored = IngestStep(status="added", path="/home/ada/a.md", done=1, total=4)
    for step in [*embedding(100, (0, 50, 100)), stored]:
        printer.show(step)
        progress = printer._bar._started()
        seen.append(progress.tasks[0].completed)
    printer._bar.close()

    assert seen == [0, 1, 2, 2]
