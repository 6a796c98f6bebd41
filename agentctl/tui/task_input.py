"""A scheduled task as the form has it, and as a request: what is typed may be wrong."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

from agentctl.connect import working_directory
from agentctl.core.automation import schedule
from agentctl.core.automation.tasks import (
    Action,
    ActionKind,
    Missed,
    TaskOptions,
    TaskRequest,
    Trigger,
)
from agentctl.core.automation.time_words import MOMENTS
from agentctl.core.errors import InputMissing, UsageProblem
from agentctl.core.paths import expand
from agentctl.core.web_page import URL_SCHEMES

When: TypeAlias = Literal["cron", "every", "at"]
TIME_EXAMPLES: dict[When, str] = {
    "cron": "0 3 * * *: minute, hour, day, month, weekday",
    "every": "10m, 2 hours, day",
    "at": MOMENTS.replace('"', ""),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInput:
    """The fields of the form as they are typed."""

    name: str = ""
    when: When = "cron"
    time: str = ""
    what: ActionKind = "ask"
    agent: str = "auto"
    text: str = ""
    folder: str = ""
    missed: Missed = "run"
    retries: str = "0"
    notify: str = ""

    def trigger(self, now: datetime) -> Trigger:
        """Raises UsageProblem."""
        example = TIME_EXAMPLES[self.when]
        if not self.time.strip():
            raise UsageProblem("say when", example)
        try:
            return self._trigger(now)
        except UsageProblem as problem:
            # Its own hint names an option of the command line.
            raise UsageProblem(problem.message, example) from None

    def _trigger(self, now: datetime) -> Trigger:
        if self.when == "every":
            return schedule.interval(self.time)
        zone = schedule.local_timezone()
        if self.when == "cron":
            return schedule.cron(self.time, zone)
        return schedule.once(self.time, now, zone)

    def request(self, now: datetime) -> TaskRequest:
        """Raises UsageProblem, InputMissing."""
        if not self.name.strip():
            raise UsageProblem("the task has no name", "nightly")
        return TaskRequest(
            name=self.name.strip(),
            trigger=self.trigger(now),
            action=self._action(),
            options=TaskOptions(
                missed=self.missed, retries=self._retries(), notify=self._targets()
            ),
        )

    def _action(self) -> Action:
        text = self.text.strip()
        if not text:
            raise UsageProblem("what is to be done?", "type it below what")
        if self.what == "ask":
            return Action(kind="ask", text=text)
        if self.what == "ingest":
            return Action(kind="ingest", text=_source(text))
        return Action(
            kind="agent",
            text=text,
            agent=self.agent,
            folder=_folder(self.folder),
            code_may_write=bool(self.folder.strip()),
        )

    def _retries(self) -> int:
        text = self.retries.strip() or "0"
        if not text.isascii() or not text.isdecimal() or int(text) > 100:
            raise UsageProblem(f"{text!r} is no number of retries", "0 to 100")
        return int(text)

    def _targets(self) -> tuple[str, ...]:
        from agentctl.core.automation.notifications import check_target

        target = self.notify.strip()
        if not target:
            return ()
        check_target(target)
        return (target,)


def _source(name: str) -> str:
    if name.startswith(URL_SCHEMES):
        return name
    path = os.path.abspath(expand(name))  # noqa: PTH100 - absolute() keeps the `..`
    if not Path(path).exists():
        raise InputMissing(f"there is no {path}", "name a file or a folder that exists")
    return path


def _folder(name: str) -> str:
    folder = expand(name.strip()).absolute() if name.strip() else working_directory()
    if not folder.is_dir():
        raise InputMissing(f"there is no folder {folder}", f"mkdir {folder}")
    return str(folder.resolve())
