"""A line to look for words in what was said."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static


class FindBar(Horizontal):
    """Says what is looked for; who has it says how many there are, by `tell`."""

    DEFAULT_CSS = """
    FindBar {
        display: none; height: 1; background: $panel;
        &.open { display: block; }
        Static { width: auto; padding: 0 1; }
        Input { width: 1fr; border: none; height: 1; background: $panel; padding: 0; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", id="find.close"),
        Binding("up", "step(-1)", "Before", id="find.before"),
        Binding("down,enter", "step(1)", "Next", id="find.next"),
    ]

    class Changed(Message):
        """Other letters are looked for; none when it was closed."""

        def __init__(self, term: str) -> None:
            super().__init__()
            self.term = term

    class Stepped(Message):
        """To the next one (1), or the one before (-1)."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    class Left(Message):
        """The user goes on in the transcript, at what was found."""

    def compose(self) -> ComposeResult:
        yield Static("find", markup=False)
        yield Input(placeholder="words", compact=True)
        yield Static("", classes="count", markup=False)

    def open(self) -> None:
        self.add_class("open")
        self.query_one(Input).focus()

    def tell(self, text: str) -> None:
        self.query_one(".count", Static).update(text)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.has_class("open"):
            self.post_message(self.Changed(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Left())

    def action_step(self, step: int) -> None:
        self.post_message(self.Stepped(step))

    def action_close(self) -> None:
        self.remove_class("open")
        self.query_one(Input).value = ""
        self.post_message(self.Changed(""))
