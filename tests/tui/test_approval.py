"""The question whether a call may run: what is shown, and each way to answer."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Static, TextArea

from agentctl.core.agents.run_request import ApprovalAnswer
from agentctl.core.agents.run_store import Decision
from agentctl.core.events import ApprovalRequired
from agentctl.core.jsontypes import JsonObject
from agentctl.tui.widgets.approval import ApprovalDialog
from tests.support.dashboard import running_dashboard, until

DIFF = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old [red]\n+new \x1b[31m\u202e"


def asked(tool: str = "write_file", preview: str = DIFF, **args: str) -> ApprovalRequired:
    own: JsonObject = {**(args or {"path": "x"})}
    return ApprovalRequired(
        run_id="ab12", time="", call_id="c1", tool=tool, args=own, preview=preview
    )


def answered(
    home: Path,
    dialog: ApprovalDialog,
    do: Callable[[Pilot[None]], Awaitable[None]],
    size: tuple[int, int] = (80, 24),
) -> list[ApprovalAnswer | None]:
    """What comes of it; empty while it is open."""
    answers: list[ApprovalAnswer | None] = []

    async def flow() -> None:
        async with running_dashboard(home, size=size) as (app, pilot):
            app.push_screen(dialog, answers.append)
            await until(pilot, lambda: dialog.is_mounted and app.screen is dialog)
            await do(pilot)

    asyncio.run(flow())
    return answers


def keys(*pressed: str) -> Callable[[Pilot[None]], Awaitable[None]]:
    async def do(pilot: Pilot[None]) -> None:
        await pilot.press(*pressed)
        await pilot.pause()

    return do


def shown(dialog: ApprovalDialog, name: str = "shown") -> str:
    return str(dialog.query_one(f"#{name}", Static).content)


def test_a_call_is_allowed_once_for_the_run_or_always(tmp_path: Path) -> None:
    for key, scope in (("a", "once"), ("r", "run"), ("A", "always")):
        [answer] = answered(tmp_path, ApprovalDialog(asked()), keys(key))
        assert answer is not None
        assert (answer.run, answer.call_id, answer.allow) == ("ab12", "c1", True)
        assert (answer.scope, answer.args) == (scope, None)


def test_a_call_is_denied_with_a_reason(tmp_path: Path) -> None:
    [answer] = answered(tmp_path, ApprovalDialog(asked()), keys("d", *"not here", "enter"))
    assert answer == ApprovalAnswer(run="ab12", call_id="c1", allow=False, reason="not here")


def test_it_can_be_decided_later(tmp_path: Path) -> None:
    assert answered(tmp_path, ApprovalDialog(asked()), keys("escape")) == [None]
    assert answered(tmp_path, ApprovalDialog(asked()), keys("d", "escape")) == []


def test_a_button_answers_as_its_key(tmp_path: Path) -> None:
    async def click(pilot: Pilot[None]) -> None:
        await pilot.click("#always")
        await pilot.pause()

    [answer] = answered(tmp_path, ApprovalDialog(asked()), click)
    assert answer is not None
    assert answer.scope == "always"


def test_what_is_shown_is_text_and_nothing_else(tmp_path: Path) -> None:
    dialog = ApprovalDialog(asked(), agent="[b]coder[/b]")

    async def look(pilot: Pilot[None]) -> None:
        assert "-old [red]\n+new \ufffd[31m<U+202E>" in shown(dialog)
        title = str(dialog.query_one(".title", Static).content)
        assert title == "[b]coder[/b] wants to call write_file"

    answered(tmp_path, dialog, look)


def test_a_command_and_code_are_shown_as_they_run(tmp_path: Path) -> None:
    shell = ApprovalDialog(asked("run_shell", "", command="rm -r x"))
    code = ApprovalDialog(asked("run_python", "", code="print(1)\nprint(2)"))

    async def look_at_shell(pilot: Pilot[None]) -> None:
        assert "$ rm -r x" in shown(shell)

    async def look_at_code(pilot: Pilot[None]) -> None:
        assert "   2  print(2)" in shown(code)

    answered(tmp_path, shell, look_at_shell)
    answered(tmp_path, code, look_at_code)


def test_the_arguments_are_edited_and_checked_before_they_are_allowed(tmp_path: Path) -> None:
    dialog = ApprovalDialog(asked())

    async def edit(pilot: Pilot[None]) -> None:
        await pilot.press("e")
        area = dialog.query_one("#args", TextArea)
        assert json.loads(area.text) == {"path": "x"}
        for wrong, problem in (("{", "this is not JSON"), ("[1]", "a JSON object")):
            area.text = wrong
            await pilot.press("ctrl+s")
            assert problem in shown(dialog, "wrong")
        area.text = '{"path": "y"}'
        await pilot.press("ctrl+s")
        assert '"path": "y"' in shown(dialog)
        await pilot.press("a")
        await pilot.pause()

    [answer] = answered(tmp_path, dialog, edit)
    assert answer is not None
    assert answer.args == {"path": "y"}


def test_code_is_edited_as_it_is(tmp_path: Path) -> None:
    dialog = ApprovalDialog(asked("run_python", "", code="print(1)\nprint(2)"))

    async def edit(pilot: Pilot[None]) -> None:
        await pilot.press("e")
        area = dialog.query_one("#args", TextArea)
        assert area.text == "print(1)\nprint(2)"
        area.text = 'print("three")'
        await pilot.press("ctrl+s")
        assert '   1  print("three")' in shown(dialog)
        await pilot.press("a")
        await pilot.pause()

    [answer] = answered(tmp_path, dialog, edit)
    assert answer is not None
    assert answer.args == {"code": 'print("three")'}


def test_a_question_is_answered_in_words(tmp_path: Path) -> None:
    dialog = ApprovalDialog(asked("ask_user", "", question="Which a?"))
    [answer] = answered(tmp_path, dialog, keys(*"the red", "enter"))
    assert answer is not None
    assert answer.args == {"question": "Which a?", "answer": "the red"}


class EndlessWait(ApprovalDialog):
    quiet_s = 3600.0


class ShortWait(ApprovalDialog):
    quiet_s = 0.01


def test_keys_meant_for_something_else_are_no_answer(tmp_path: Path) -> None:
    typed = keys("a", "A", "d", *"no", "enter")
    assert answered(tmp_path, EndlessWait(asked(), is_sudden=True), typed) == []


def test_a_key_counts_once_it_was_quiet(tmp_path: Path) -> None:
    dialog = ShortWait(asked(), is_sudden=True)

    async def wait_and_answer(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: dialog.is_ready)
        await pilot.press("r")
        await pilot.pause()

    [answer] = answered(tmp_path, dialog, wait_and_answer)
    assert answer is not None
    assert answer.scope == "run"


def test_a_stored_decision_is_asked_as_the_event_is(tmp_path: Path) -> None:
    decision = Decision(
        id=1,
        run="ab12",
        call_id="c1",
        agent="coder",
        tool="write_file",
        risk="write",
        args={"path": "x"},
        preview=DIFF,
        decision="pending",
        decided_by="",
        reason="",
        asked="",
        answered=None,
    )
    [answer] = answered(tmp_path, ApprovalDialog(decision), keys("a"))
    assert answer is not None
    assert (answer.run, answer.call_id) == ("ab12", "c1")


def test_the_choices_are_seen_whatever_the_length_of_the_call(tmp_path: Path) -> None:
    for size in ((80, 24), (60, 20)):
        dialog = ApprovalDialog(asked(preview="+line\n" * 500))

        async def look(pilot: Pilot[None], dialog: ApprovalDialog = dialog) -> None:
            last = dialog.query_one("#edit")
            assert dialog.region.contains_region(last.region)
            assert last.region.area
            await pilot.press("pagedown")
            assert dialog.query_one("#call").scroll_y > 0

        answered(tmp_path, dialog, look, size)
    answered(tmp_path, ApprovalDialog(asked()), keys("escape"), (20, 5))
