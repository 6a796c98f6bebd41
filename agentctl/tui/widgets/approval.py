"""The question whether a call may run: what it is exactly, and every way to answer."""

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, ScrollableContainer, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Button, Input, Static, TextArea

from agentctl.core.agents.run_request import ApprovalAnswer, Scope
from agentctl.core.agents.run_store import Decision
from agentctl.core.events import ApprovalRequired
from agentctl.core.jsontypes import JsonObject
from agentctl.render.approval import Line, request_lines, visible
from agentctl.render.argument_text import read_arguments, write_arguments
from agentctl.render.output import printable
from agentctl.render.tool_calls import ASK_USER

# Terminal colours in those of the theme.
_STYLES = {"1": "bold", "31": "$error", "32": "$success", "36": "$primary"}
_SCOPES: dict[str, Scope] = {"once": "once", "run": "run", "always": "always"}
_BUTTONS = (
    ("a once", "once", "success"),
    ("r for run", "run", "default"),
    ("A always", "always", "default"),
    ("d deny", "deny", "error"),
    ("e edit", "edit", "default"),
)


class ApprovalDialog(ModalScreen[ApprovalAnswer | None]):
    """Gives the user's answer, or None when it was put off.

    Args:
        asked: the call, as the event told it or as it is stored.
        agent: who asks, where `asked` does not say it.
        is_sudden: it comes up by itself, so that the user may be typing something else: keys are
            no answer until none was hit for `quiet_s` seconds.
    """

    quiet_s: ClassVar[float] = 0.5

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "allow('once')", "Once", id="approval.once"),
        Binding("r", "allow('run')", "This run", id="approval.run"),
        Binding("A", "allow('always')", "Always", id="approval.always"),
        Binding("d", "deny", "Deny", id="approval.deny"),
        Binding("e", "edit", "Edit", id="approval.edit"),
        Binding("ctrl+s", "accept", "Accept", id="approval.accept"),
        Binding("escape", "back", "Later", id="approval.later"),
    ]
    DEFAULT_CSS = """
    ApprovalDialog {
        #call { height: auto; max-height: 50vh; margin-bottom: 1; overflow-x: hidden; }
        #shown { width: 1fr; }
        #call:focus { background: $panel; }
        #args { height: 50vh; }
        #args, #words { display: none; }
        &.-editing #args, &.-saying #words { display: block; }
        &.-editing #call { display: none; }
        #wrong { color: $error; display: none; }
        #choices { height: auto; }
        #choices Button { min-width: 6; }
        &.-editing #choices, &.-saying #choices { display: none; }
    }
    """

    def __init__(
        self, asked: ApprovalRequired | Decision, agent: str = "", *, is_sudden: bool = False
    ) -> None:
        super().__init__()
        self._agent = asked.agent if isinstance(asked, Decision) else agent
        self._asked = _as_event(asked)
        self._args: JsonObject | None = None
        self._is_question = asked.tool == ASK_USER
        self._waiting: Timer | None = None
        self._is_sudden = is_sudden

    @property
    def is_ready(self) -> bool:
        """Whether a key is taken for an answer."""
        return self.is_mounted and self._waiting is None

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._title(), classes="title", markup=False)
            with ScrollableContainer(id="call"):
                yield Static(self._shown(), id="shown", markup=False)
            yield TextArea(id="args", compact=True)
            yield Input(id="words", compact=True)
            yield Static("", id="wrong", markup=False)
            with Horizontal(id="choices"):
                for label, name, variant in _BUTTONS:
                    # A Button's label is markup unless it is Content; these are ours.
                    yield Button(label, variant=variant, id=name, compact=True)  # type: ignore[arg-type]  # one of its names
            yield Static("", classes="hint", id="hint", markup=False)

    def on_mount(self) -> None:
        if self._is_sudden:
            self._wait_for_quiet()
        if self._is_question:
            self._ask_for_words("your answer")
        else:
            self._choose()

    def on_key(self) -> None:
        if not self.is_ready:
            self._wait_for_quiet()

    # Answers

    def action_allow(self, scope: str) -> None:
        self._answer(allow=True, scope=_SCOPES[scope])

    def action_deny(self) -> None:
        self._ask_for_words("why not? the agent is told; empty for no reason")

    def action_edit(self) -> None:
        area = self.query_one("#args", TextArea)
        args = self._asked.args if self._args is None else self._args
        area.text = write_arguments(args)
        self._set_mode("-editing", "ctrl+s takes it so, then you decide · esc leaves it as it was")
        area.focus()

    def action_accept(self) -> None:
        if not self.has_class("-editing"):
            return
        try:
            args = read_arguments(self.query_one("#args", TextArea).text, self._asked.args)
        except ValueError as error:
            self._show_problem(str(error))
            return
        # The preview was that of the arguments as they were.
        self._args, self._asked = args, replace(self._asked, args=args, preview="")
        self.query_one("#shown", Static).update(self._shown())
        self.query_one(".title", Static).update(self._title())
        self._choose()

    def action_back(self) -> None:
        is_within = self.has_class("-editing") or self.has_class("-saying")
        if is_within and not self._is_question:
            self._choose()
        else:
            self.dismiss(None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if not self.is_ready:
            return
        words = event.value.strip()
        if not self._is_question:
            self._answer(allow=False, reason=words)
            return
        self._args = {**self._asked.args, "answer": words}
        self._answer(allow=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        name = event.button.id or ""
        if name in _SCOPES:
            self.action_allow(name)
        elif name == "deny":
            self.action_deny()
        else:
            self.action_edit()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("allow", "deny", "edit"):
            is_choosing = not (self.has_class("-editing") or self.has_class("-saying"))
            return is_choosing and self.is_ready
        return True

    def _answer(self, *, allow: bool, scope: Scope = "once", reason: str = "") -> None:
        self.dismiss(
            ApprovalAnswer(
                run=self._asked.run_id,
                allow=allow,
                call_id=self._asked.call_id,
                scope=scope,
                args=self._args if allow else None,
                reason=reason,
            )
        )

    # What is shown

    def _title(self) -> str:
        who = printable(self._agent or "An agent")
        if self._is_question:
            return f"{who} asks you"
        edited = ", as edited" if self._args is not None else ""
        return f"{who} wants to call {printable(self._asked.tool)}{edited}"

    def _shown(self) -> Content:
        if self._is_question:
            return Content(printable(visible(str(self._asked.args.get("question", "")))))
        return Content("\n").join(_styled(request_lines(self._asked)))

    def _choose(self) -> None:
        self._set_mode("", "↑↓ scroll · esc decides later")
        self.query_one("#call").focus()

    def _ask_for_words(self, placeholder: str) -> None:
        words = self.query_one("#words", Input)
        words.placeholder = placeholder
        back = "esc answers later" if self._is_question else "esc goes back"
        sends = "enter sends it" if self._is_question else "enter denies"
        self._set_mode("-saying", f"{sends} · {back}")
        words.focus()

    def _set_mode(self, mode: str, hint: str) -> None:
        self.set_class(mode == "-editing", "-editing")
        self.set_class(mode == "-saying", "-saying")
        self.query_one("#hint", Static).update(hint)
        self._show_problem("")

    def _show_problem(self, text: str) -> None:
        wrong = self.query_one("#wrong", Static)
        wrong.update(printable(text))
        wrong.display = bool(text)

    def _wait_for_quiet(self) -> None:
        if self._waiting is not None:
            self._waiting.stop()
        self._waiting = self.set_timer(self.quiet_s, self._be_ready)

    def _be_ready(self) -> None:
        self._waiting = None


def _as_event(asked: ApprovalRequired | Decision) -> ApprovalRequired:
    if isinstance(asked, ApprovalRequired):
        return asked
    return ApprovalRequired(
        run_id=asked.run,
        time=asked.asked,
        call_id=asked.call_id,
        tool=asked.tool,
        args=asked.args,
        preview=asked.preview,
    )


def _styled(lines: list[Line]) -> Iterator[Content]:
    for line in lines:
        yield Content.styled(printable(line.text), _STYLES.get(line.style, ""))
