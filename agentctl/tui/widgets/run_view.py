"""A run as it goes on: who said what, which tools were called, and what waits for the user."""

import json
from typing import ClassVar, Literal, TypeAlias

from textual import events
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static

from agentctl.core.agents.run_store import RunDetails
from agentctl.core.events import (
    ApprovalGiven,
    ApprovalRequired,
    ErrorRaised,
    Event,
    MessageFinished,
    ToolCallRequested,
    ToolFinished,
    WarningRaised,
)
from agentctl.render.approval import visible
from agentctl.render.output import printable
from agentctl.render.tool_calls import CallLog, CallRecord, call_line, clipped, result_line

Kind: TypeAlias = Literal["task", "said", "call", "warning", "error"]

# Entries that are shown, the newest; characters of one; those of a message that is still coming
# after which its beginning is drawn no more.
_MOST_ENTRIES, _LONGEST_ENTRY, _LONGEST_PIECE = 300, 100_000, 4_000
# Seconds between two drawings of what is being said.
_DRAW_S = 0.1
_FOLDED_LINE = 200


class Entry(Static):
    """One thing of a transcript; a call is folded until it is opened."""

    class Pressed(Message):
        """A click on a call."""

        def __init__(self, entry: "Entry") -> None:
            super().__init__()
            self.entry = entry

    def __init__(
        self, kind: Kind, who: str = "", text: str = "", call: CallRecord | None = None
    ) -> None:
        super().__init__(markup=False, classes=f"-{kind}")
        self.kind = kind
        self.call = call
        self.is_open = False
        self._who = who
        self._text = text
        self.draw()

    def become(self, kind: Kind, who: str, text: str, call: CallRecord | None) -> None:
        """Shows something else; nothing is drawn when it is the same."""
        if (kind, who, text, call) == (self.kind, self._who, self._text, self.call):
            return
        if kind != self.kind:
            self.set_classes(f"-{kind}")
        self.kind, self._who, self._text, self.call = kind, who, text, call
        self.draw()

    def toggle(self) -> None:
        self.is_open = not self.is_open
        self.draw()

    def draw(self) -> None:
        if self.call is not None:
            self.update(_call_content(self.call, is_open=self.is_open))
            return
        text = _whole(self._text.strip("\n"))
        head = f"{printable(self._who)}\n" if self._who else ""
        self.update(Content.assemble((head, "bold $primary"), text))

    def on_click(self, event: events.Click) -> None:
        if self.call is not None:
            event.stop()
            self.post_message(self.Pressed(self))


class Tail(Static):
    """What is being said; drawn some ten times a second, in pieces that stay short."""


class RunView(VerticalScroll):
    """`show` draws a run as it is stored, `say` adds what a model says meanwhile.

    Follows the end unless the user has scrolled up.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "call(1)", "Next call", id="run.next_call", show=False),
        Binding("p", "call(-1)", "Previous call", id="run.previous_call", show=False),
        Binding("enter,space", "unfold", "Unfold", id="run.unfold"),
        Binding("o", "unfold_all", "Unfold all", id="run.unfold_all", show=False),
    ]
    DEFAULT_CSS = """
    RunView { padding: 0 1; }
    RunView Entry { margin-bottom: 1; height: auto; }
    RunView .-task { color: $foreground 70%; }
    RunView .-call { color: $foreground 80%; }
    RunView .-call.-here { border-left: thick $primary; padding-left: 1; }
    RunView .-warning { color: $warning; }
    RunView .-error { color: $error; }
    RunView Tail { height: auto; }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002 - as Widget's
        super().__init__(id=id)
        self._run = ""
        self._entries: list[Entry] = []
        self._hidden = Static("", markup=False)
        self._tails: list[Tail] = []
        self._saying = ""
        self._arrived: list[str] = []
        self._drawing: Timer | None = None
        self._here: Entry | None = None

    def on_mount(self) -> None:
        self.mount(self._hidden)

    def show(self, details: RunDetails | None) -> None:
        """None: there is no run to show."""
        run = details.run.id if details is not None else ""
        if run != self._run:
            self._clear()
            self._run = run
        if details is None:
            return
        self._follow_end()
        found = _read(details)
        dropped = max(len(found) - _MOST_ENTRIES, 0)
        self._hidden.update(f"… {dropped:,} earlier entries" if dropped else "")
        self._hidden.display = bool(dropped)
        shown = found[dropped:]
        for entry, values in zip(self._entries, shown, strict=False):
            entry.become(*values)
        new = [Entry(*values) for values in shown[len(self._entries) :]]
        if new:
            self._entries += new
            self.mount_all(new, before=self._tails[0] if self._tails else None)

    def say(self, text: str) -> None:
        """More of what a model says now."""
        self._arrived.append(text)
        if self._drawing is None:
            self._drawing = self.set_timer(_DRAW_S, self._draw_tail)

    def end_saying(self) -> None:
        """What was said stands in the run by now."""
        self._arrived, self._saying = [], ""
        tails, self._tails = self._tails, []
        for tail in tails:
            tail.remove()

    def _draw_tail(self) -> None:
        self._drawing = None
        if not self._arrived:
            return
        self._follow_end()
        self._saying += "".join(self._arrived)
        self._arrived = []
        if not self._tails:
            self._begin_tail()
        while len(self._saying) > _LONGEST_PIECE:
            cut = self._saying.rfind("\n", 0, _LONGEST_PIECE)
            cut = cut if cut > 0 else _LONGEST_PIECE
            self._tails[-1].update(printable(self._saying[:cut]))
            self._saying = self._saying[cut:].removeprefix("\n")
            self._begin_tail()
        self._tails[-1].update(printable(self._saying))

    def _follow_end(self) -> None:
        """Scrolls to what comes, unless the user has scrolled up or looks at a call."""
        if self._here is None and self.scroll_y >= self.max_scroll_y - 1:
            self.call_after_refresh(self.scroll_end, animate=False)

    def _begin_tail(self) -> None:
        self._tails.append(Tail(markup=False))
        self.mount(self._tails[-1])

    def _clear(self) -> None:
        self.end_saying()
        entries, self._entries, self._here = self._entries, [], None
        self._hidden.display = False
        for entry in entries:
            entry.remove()

    # Calls

    def action_call(self, step: int) -> None:
        calls = [entry for entry in self._entries if entry.call is not None]
        if not calls:
            return
        if self._here in calls:
            place = min(max(calls.index(self._here) + step, 0), len(calls) - 1)
        else:
            place = 0 if step > 0 else -1
        self._go_to(calls[place])

    def action_unfold(self) -> None:
        if self._here is None:
            self.action_call(-1)
        if self._here is not None:
            self._here.toggle()

    def action_unfold_all(self) -> None:
        calls = [entry for entry in self._entries if entry.call is not None]
        is_any_folded = any(not entry.is_open for entry in calls)
        for entry in calls:
            if entry.is_open != is_any_folded:
                entry.toggle()

    def on_entry_pressed(self, event: Entry.Pressed) -> None:
        self._go_to(event.entry)
        event.entry.toggle()

    def _go_to(self, entry: Entry) -> None:
        if self._here is not None:
            self._here.remove_class("-here")
        self._here = entry
        entry.add_class("-here")
        self.scroll_to_widget(entry, animate=False)


def _read(details: RunDetails) -> list[tuple[Kind, str, str, CallRecord | None]]:
    """The entries of a run, in order."""
    several = len(details.tasks) > 1
    found: list[tuple[Kind, str, str, CallRecord | None]] = [
        ("task", f"you, task {number}" if several else "you", task, None)
        for number, task in enumerate(details.tasks, 1)
    ]
    log, told = CallLog(), set[str]()
    said = ""
    for event in details.events:
        match event:
            case ToolCallRequested() | ApprovalRequired() | ApprovalGiven() | ToolFinished():
                call = log.add(event)
                if call.call_id not in told and call.tool:
                    told.add(call.call_id)
                    found.append(("call", "", "", call))
            case MessageFinished(agent=agent, content=content) if content.strip():
                said = content
                found.append(("said", agent or details.run.agent, content, None))
            case _:
                found += _aside(event)
    answer = details.run.answer
    if answer.strip() and answer.strip() != said.strip() and not details.is_live:
        found.append(("said", "answer", answer, None))
    return found


def _aside(event: Event) -> list[tuple[Kind, str, str, CallRecord | None]]:
    if isinstance(event, WarningRaised):
        return [("warning", "", f"warning: {event.message}", None)]
    if isinstance(event, ErrorRaised):
        return [("error", "", f"error: {event.message}\n{event.hint}", None)]
    return []


def _call_content(call: CallRecord, *, is_open: bool) -> Content:
    sign = "▾" if is_open else "▸"
    line = call_line(call.tool, call.args).removeprefix("→ ")
    asker = f"{call.agent}: " if call.agent else ""
    parts = [Content.assemble((f"{sign} ", "$primary"), printable(f"{asker}{line}"))]
    parts.append(_state(call, is_open=is_open))
    if is_open:
        args = json.dumps(call.args, ensure_ascii=False, indent=2)
        parts.append(Content.styled(_whole(args), "$foreground 70%"))
        parts += [Content(_whole(text)) for text in (call.result, call.error) if text]
        parts += [Content(printable(f"wrote {name}")) for name in call.files]
    return Content("\n").join(parts)


def _state(call: CallRecord, *, is_open: bool) -> Content:
    if call.is_waiting:
        return Content.styled("  waits for your answer", "bold $warning")
    decided = ""
    if call.approved is not None:
        is_whole = is_open or not call.approved
        by = call.by if is_whole else call.by.partition(":")[0]
        decided = f"{'allowed' if call.approved else 'denied'} by {by}"
    done = result_line(call) if call.took_ms is not None else "…"
    text = clipped(" · ".join(filter(None, (decided, done))), _FOLDED_LINE)
    return Content.styled(f"  {printable(text)}", "$error" if call.error else "$foreground 60%")


def _whole(text: str) -> str:
    shown = printable(visible(text))
    if len(shown) <= _LONGEST_ENTRY:
        return shown
    return f"{shown[:_LONGEST_ENTRY]}\n… {len(shown) - _LONGEST_ENTRY:,} more characters"
