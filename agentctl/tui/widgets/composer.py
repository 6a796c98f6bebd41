"""Where prompts are written: it grows, completes paths, folds what is long, and knows the past."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import TextArea

from agentctl.connect import working_directory
from agentctl.render.output import printable
from agentctl.tui.mentions import begun_mention, dropped_paths, mention, mentioned_files
from agentctl.tui.widgets.completions import Completions

MOST_LINES, MOST_LETTERS = 10, 2_000
"""What a paste may have without being folded."""

_TOKEN = re.compile(r"\[paste (\d+): [\d,]+ \w+\]")
_SMALL_SCREEN = 12
_IDLE = "Ask anything · @ adds a file · shift+enter or ctrl+j: a new line"
_BUSY = "An answer is on its way: what you send now is queued · esc stops"


class Composer(Widget):
    """`session` tells whose earlier prompts up and down walk through.

    A new session's prompts, sent while `session` was None, become those of the next one that has
    none of its own.
    """

    DEFAULT_CSS = """
    Composer { height: auto; }
    Composer PromptArea {
        height: auto; min-height: 1; max-height: 8; padding: 0 1; background: $background;
        border: round $foreground 30%;
    }
    Composer PromptArea:focus { border: round $primary; }
    Composer.small PromptArea { border: none; max-height: 2; }
    """

    class Sent(Message):
        """`text` with its pastes put back; `files` are absolute paths and URLs."""

        def __init__(self, text: str, files: tuple[str, ...]) -> None:
            super().__init__()
            self.text = text
            self.files = files

    is_busy: reactive[bool] = reactive(False)
    session: reactive[str | None] = reactive(None)

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self._folder = (folder or working_directory()).absolute()
        self._pastes: list[str] = []
        self._prompts: dict[str | None, list[str]] = {}
        self._place: int | None = None
        self._draft = ""

    def compose(self) -> ComposeResult:
        yield Completions(self._folder)
        yield PromptArea(placeholder=_IDLE)

    @property
    def area(self) -> "PromptArea":
        return self.query_one(PromptArea)

    @property
    def completions(self) -> Completions:
        return self.query_one(Completions)

    @property
    def text(self) -> str:
        """What stands there, with its pastes put back."""
        return _TOKEN.sub(self._unfold, self.area.text)

    def focus(self, scroll_visible: bool = True) -> "Composer":
        self.area.focus(scroll_visible)
        return self

    def set_text(self, text: str) -> None:
        self.area.load_text(printable(text))
        self.area.move_cursor(self.area.document.end)

    def clear(self) -> None:
        self._place = None
        self.completions.close()
        self.area.load_text("")

    def send(self) -> None:
        """Nothing, when there is nothing but space."""
        shown, text = self.area.text, self.text
        if not text.strip():
            return
        prompts = self._prompts.setdefault(self.session, [])
        if prompts[-1:] != [shown]:
            prompts.append(shown)
        self.clear()
        # Names of files in a paste are part of that text.
        self.post_message(self.Sent(text, mentioned_files(shown, self._folder)))

    def fold(self, text: str) -> str:
        """What stands for a long paste until it is sent."""
        self._pastes.append(text)
        lines = text.count("\n") + (not text.endswith("\n"))
        size = f"{lines:,} lines" if lines > 1 else f"{len(text):,} letters"
        return f"[paste {len(self._pastes)}: {size}]"

    def pasted(self, text: str) -> str:
        """What is to be inserted for a paste."""
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        if paths := dropped_paths(text, self._folder):
            return " ".join(mention(path) for path in paths) + " "
        return self.fold(text) if is_long(text) else printable(text)

    def remember(self, session: str, prompts: Iterable[str]) -> None:
        """What was asked in a session before it was opened here."""
        if session not in self._prompts:
            self._prompts[session] = [
                self.fold(text) if is_long(text) else text for text in prompts
            ]

    def recall(self, by: int) -> bool:
        """Shows an earlier (-1) or later (1) prompt; False when there is none."""
        prompts = self._prompts.get(self.session, [])
        place = len(prompts) if self._place is None else self._place
        if not 0 <= place + by <= len(prompts):
            return False
        if self._place is None:
            self._draft = self.area.text
        self._place = place + by
        at_end = self._place == len(prompts)
        self.set_text(self._draft if at_end else prompts[self._place])
        if at_end:
            self._place = None
        return True

    def take_completion(self) -> bool:
        """Writes the chosen path in place of what was begun; False when there is none."""
        path, area = self.completions.chosen, self.area
        row, column = area.cursor_location
        begun = begun_mention(area.document.get_line(row)[:column])
        if path is None or begun is None:
            return False
        is_folder = path.endswith("/")
        written = mention(path)
        if is_folder and written[1:2] in ('"', "'"):
            # Open, so that the path can go on.
            written = written[:-1]
        area.replace(written if is_folder else f"{written} ", (row, begun[1]), (row, column))
        if not is_folder:
            self.completions.close()
        return True

    def watch_is_busy(self, is_busy: bool) -> None:
        self.area.placeholder = _BUSY if is_busy else _IDLE

    def watch_session(self, before: str | None, session: str | None) -> None:
        if before is None and session is not None and session not in self._prompts:
            self._prompts[session] = self._prompts.pop(None, [])
        self._place = None

    def on_resize(self) -> None:
        self.set_class(self.screen.size.height < _SMALL_SCREEN, "small")

    @on(TextArea.Changed)
    def _suggest(self, event: TextArea.Changed) -> None:
        event.stop()
        row, column = self.area.cursor_location
        begun = begun_mention(self.area.document.get_line(row)[:column])
        if begun is None or not self.area.has_focus:
            self.completions.close()
        else:
            self.completions.suggest(begun[0])

    @on(Completions.Taken)
    def _take(self) -> None:
        self.take_completion()
        self.focus()

    def _unfold(self, token: re.Match[str]) -> str:
        number = int(token[1])
        return self._pastes[number - 1] if 1 <= number <= len(self._pastes) else token[0]


def is_long(text: str) -> bool:
    return text.count("\n") >= MOST_LINES or len(text) > MOST_LETTERS


class PromptArea(TextArea):
    """The composer's text: enter sends it, up and down leave it at its edges."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "Send", id="composer.send", show=False),
        Binding(
            "shift+enter,ctrl+j,alt+enter",
            "new_line",
            "New line",
            id="composer.new_line",
            show=False,
        ),
        Binding("ctrl+u", "clear_text", "Clear", id="composer.clear", show=False),
        Binding("up", "earlier", "Earlier prompt", id="composer.earlier", show=False),
        Binding("down", "later", "Later prompt", id="composer.later", show=False),
        Binding("tab", "complete", "Complete", id="composer.complete", show=False),
    ]

    def __init__(self, placeholder: str) -> None:
        super().__init__(compact=False, highlight_cursor_line=False, placeholder=placeholder)

    @property
    def composer(self) -> Composer:
        composer = self.parent
        assert isinstance(composer, Composer)  # noqa: S101 - it is never anywhere else
        return composer

    def action_send(self) -> None:
        if not self.composer.take_completion():
            self.composer.send()

    def action_new_line(self) -> None:
        self._type("\n")

    def action_clear_text(self) -> None:
        self.composer.clear()

    def action_complete(self) -> None:
        if not self.composer.take_completion():
            self.screen.focus_next("Transcript")

    def action_earlier(self) -> None:
        if self.composer.completions.is_open:
            self.composer.completions.move(-1)
        elif not self.cursor_at_first_line or not self.composer.recall(-1):
            self.action_cursor_up()

    def action_later(self) -> None:
        if self.composer.completions.is_open:
            self.composer.completions.move(1)
        elif not self.cursor_at_last_line or not self.composer.recall(1):
            self.action_cursor_down()

    async def _on_key(self, event: events.Key) -> None:
        if event.is_printable:
            await super()._on_key(event)
            return
        if event.key == "escape" and self.composer.completions.is_open:
            event.stop()
            event.prevent_default()
            self.composer.completions.close()
            return
        # Here, in the order of the keys: by way of the application an enter would overtake the
        # letters that were typed before it.
        active = self.screen.active_bindings.get(event.key)
        if active is not None and active.node is self:
            event.stop()
            event.prevent_default()
            await self.run_action(active.binding.action)

    async def _on_paste(self, event: events.Paste) -> None:
        # Textual's own handler would insert it as it came.
        event.stop()
        event.prevent_default()
        self._type(self.composer.pasted(event.text))

    def on_blur(self) -> None:
        self.composer.completions.close()

    def _type(self, text: str) -> None:
        result = self._replace_via_keyboard(text, *self.selection)
        if result is not None:
            self.move_cursor(result.end_location)
