"""How far away a task's next run is, in words."""

from datetime import UTC, datetime, timedelta

import pytest

from agentctl.core.automation.tasks import Action, TaskEntry, TaskOptions, Trigger
from agentctl.render.tasks import action_words, local, next_run

NOW = datetime(2026, 11, 26, 8, tzinfo=UTC)


def entry(next_run: str | None, *, enabled: bool = True) -> TaskEntry:
    return TaskEntry(
        id=1,
        name="nightly",
        trigger=Trigger(kind="interval", expression="600"),
        action=Action(kind="ask", text="What is due?"),
        options=TaskOptions(),
        enabled=enabled,
        created="2026-11-26T08:00:00Z",
        next_run=next_run,
        last_run=None,
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "overdue"),
        (5, "in 5 s"),
        (3599, "in 1 h"),
        (600, "in 10 min"),
        (3 * 3600, "in 3 h"),
        (40 * 3600, "in 40 h"),
        (72 * 3600, "in 3 d"),
    ],
)
def test_the_next_run_says_how_far_away_it_is(seconds: int, words: str) -> None:
    moment = (NOW + timedelta(seconds=seconds)).isoformat()

    assert next_run(entry(moment), NOW) == f"{local(moment)} ({words})"


def test_what_is_not_due_says_why() -> None:
    assert next_run(entry(None), NOW) == "never again"
    assert next_run(entry(None, enabled=False), NOW) == "paused"


def test_what_is_done_fits_a_line() -> None:
    action = Action(kind="agent", agent="coder", text="Count\n the  lines. " + "x" * 100)

    words = action_words(action)

    assert words.startswith("coder: Count the lines. xxx")
    assert len(words) == len("coder: ") + 50
