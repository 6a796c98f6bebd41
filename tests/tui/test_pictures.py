"""Every screen as it is seen: pictures in text and colour, kept beside this file.

A change that is meant is taken over by `UPDATE_PICTURES=1 pytest tests/tui/test_pictures.py`.
Numbers, lines of charts and names of this machine differ each time: they are masked.
"""

import asyncio
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from textual.color import Color

from agentctl.core.chat.sessions import SessionStore
from agentctl.core.storage import open_database
from agentctl.tui.app import Dashboard
from agentctl.tui.frame import PLACES, Frame
from tests.support.dashboard import make_dashboard, paths_of, settings_with, until

PICTURES = Path(__file__).parent / "pictures"
SIZES = ((80, 24), (160, 50))
_BRAILLE = re.compile("[\u2800-\u28ff]")
# The machine's own figures, and what fills the place between them.
_FIGURES = re.compile(r"\d+([.,:]\d+)*")


def lines_of(app: Dashboard) -> Iterator[str]:
    for strip in app.screen._compositor.render_strips():
        yield "".join(segment.text for segment in strip).rstrip()


def masked(line: str) -> str:
    return re.sub(r"[ 0]{2,}", "  ", _FIGURES.sub("0", _BRAILLE.sub(" ", line))).rstrip()


def fill(home: Path) -> None:
    """A conversation, so that there is something to see."""
    store = SessionStore(open_database(paths_of(home).database))
    session = store.create("When is the lamp lit?")
    store.add_message(session, "user", "When is the lamp lit?")
    store.add_message(session, "assistant", "At **dusk**, by the keeper:\n\n- oil\n- wick")


async def picture(home: Path, mode: str, size: tuple[int, int]) -> str:
    app = make_dashboard(home, settings_with("auto"))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.link.is_open)
        await app.switch_mode(mode)
        await until(pilot, lambda: app.health.level != "unknown")
        await until(pilot, lambda: "ok, no daemon" in "\n".join(lines_of(app)))
        await until(pilot, lambda: is_settled(app))
        return "\n".join(map(masked, lines_of(app))) + "\n"


def is_settled(app: Dashboard) -> bool:
    """Nothing is being read."""
    return not [
        each for each in app.workers if each.group in ("refresh", "work") and each.is_running
    ]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("mode", [mode for mode in PLACES if mode != "monitor"])
def test_a_screen_looks_as_it_did(mode: str, size: tuple[int, int], tmp_path: Path) -> None:
    fill(tmp_path)

    seen = asyncio.run(picture(tmp_path, mode, size))

    kept = PICTURES / f"{mode}-{size[0]}x{size[1]}.txt"
    if os.environ.get("UPDATE_PICTURES"):
        kept.write_text(seen, encoding="utf-8")
    assert seen == kept.read_text(encoding="utf-8")


@pytest.mark.parametrize("theme", ["dark", "light", "contrast"])
@pytest.mark.parametrize("mode", PLACES)
def test_every_text_can_be_read_in_every_theme(
    mode: str, theme: Literal["dark", "light", "contrast"], tmp_path: Path
) -> None:
    fill(tmp_path)
    settings = settings_with("auto")
    settings = replace(settings, tui=replace(settings.tui, theme=theme))

    async def contrasts() -> list[tuple[float, str]]:
        app = make_dashboard(tmp_path, settings)
        async with app.run_test(size=(100, 30)) as pilot:
            await until(pilot, lambda: app.link.is_open)
            await app.switch_mode(mode)
            await until(pilot, lambda: isinstance(app.screen, Frame) and is_settled(app))
            return [*contrasts_of(app)]

    poor = [text for ratio, text in asyncio.run(contrasts()) if ratio < 3]
    assert poor == []


def contrasts_of(app: Dashboard) -> Iterator[tuple[float, str]]:
    """Of each word: how far its colour is from what is behind it, 1 to 21 as WCAG counts."""
    for strip in app.screen._compositor.render_strips():
        for text, style, _ in strip:
            if style is None or not re.search(r"\w", text) or not (style.color and style.bgcolor):
                continue
            front = Color.from_rich_color(style.color)
            behind = Color.from_rich_color(style.bgcolor)
            if style.reverse:
                front, behind = behind, front
            yield ratio(front, behind), text


def ratio(one: Color, other: Color) -> float:
    """https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio"""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: Color) -> float:
    parts = [each / 255 for each in color.rgb]
    linear = [
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
