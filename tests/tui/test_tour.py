"""The first start: a few lines, once."""

import asyncio
from pathlib import Path

import pytest
from textual.screen import Screen
from textual.widgets import Static

from agentctl.core.backends.model_manager import ModelEntry, ModelList
from agentctl.core.errors import BackendUnreachable
from agentctl.tui.tour import Tour, is_first_start, model_words, show_tour
from tests.support.dashboard import running_dashboard, until, write_script


class Models:
    """Stands in for the workspace: it knows models only."""

    def __init__(self, *models: ModelEntry, error: BackendUnreachable | None = None) -> None:
        self._models = models
        self._error = error

    async def list_models(self) -> ModelList:
        if self._error is not None:
            raise self._error
        return ModelList(self._models, ())


def entry(name: str, **more: bool) -> ModelEntry:
    return ModelEntry(name=name, backend="ollama", **more)


def test_the_first_start_is_the_first_one_only(tmp_path: Path) -> None:
    state = tmp_path / "made" / "state"

    assert [is_first_start(state), is_first_start(state)] == [True, False]


def test_a_folder_that_cannot_be_made_shows_no_tour_at_every_start(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")

    assert not is_first_start(tmp_path / "state")


@pytest.mark.parametrize(
    ("models", "wanted", "words"),
    [
        (Models(entry("qwen", is_default=True)), "auto", "qwen (ollama)"),
        (Models(entry("qwen")), "auto", "agentctl models use NAME"),
        (Models(entry("qwen", installed=False)), "auto", "agentctl models pull smollm2"),
        (Models(), "auto", "agentctl models pull smollm2"),
        (Models(error=BackendUnreachable("it is gone", "start it")), "auto", "start it"),
        (Models(), "gemma\x1b[31m", "gemma\ufffd[31m, as your settings say"),
    ],
)
def test_it_says_which_model_answers_or_how_to_get_one(
    models: Models, wanted: str, words: str
) -> None:
    assert words in asyncio.run(model_words(models, wanted))  # type: ignore[arg-type]  # enough


def shown(tour: Screen[object]) -> str:
    return " ".join(str(each.content) for each in tour.query(Static))


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (20, 5)])
def test_it_is_closed_by_a_key_and_the_prompt_is_next(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async def flow() -> None:
        model = write_script(tmp_path, {"text": "Hello."})
        async with running_dashboard(tmp_path, model, size) as (app, pilot):
            place = app.screen
            show_tour(app, app.link.workspace, app.settings.model)
            await until(pilot, lambda: isinstance(app.screen, Tour))
            tour = app.screen
            await until(pilot, lambda: "settings say" in shown(tour))
            await pilot.press("enter")
            await until(pilot, lambda: app.screen is place)

    asyncio.run(flow())
