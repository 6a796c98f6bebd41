"""A task as `agentctl tasks add` is told it: when, what, for how long, and whom to tell."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from agentctl.commands.places import absolute
from agentctl.connect import working_directory
from agentctl.core.automation import schedule
from agentctl.core.automation.tasks import Action, Trigger
from agentctl.core.automation.time_words import duration_s
from agentctl.core.errors import InputMissing, UsageProblem
from agentctl.core.files import well_formed
from agentctl.core.web_page import URL_SCHEMES

EXAMPLE = 'agentctl tasks add nightly --cron "0 3 * * *" --ask "What is due this week?"'


def read_trigger(given: Mapping[str, str | None], timezone: str | None) -> Trigger:
    """`given` are the options that say when, of which one has a value. Raises UsageProblem."""
    option, text = _only(given, "when")
    if option == "--every":
        if timezone is not None:
            raise UsageProblem("an interval has no time zone", "--timezone goes with --cron, --at")
        return schedule.interval(text)
    zone = timezone or schedule.local_timezone()
    if option == "--cron":
        return schedule.cron(text, zone)
    return schedule.once(text, datetime.now(UTC), zone)


def read_action(
    given: Mapping[str, str | None],
    task: str | None,
    model: str | None,
    collection: str | None,
    workdir: str | None,
) -> Action:
    """`given` are the options that say what, of which one has a value.

    Raises UsageProblem, InputMissing.
    """
    option, text = _only(given, "what")
    text = well_formed(text)
    excluded = {
        "TASK": task is not None and option != "--agent",
        "--model": model is not None and option == "--ingest",
        "--collection": collection is not None and option == "--agent",
        "--workdir": workdir is not None and option != "--agent",
    }
    for name, is_excluded in excluded.items():
        if is_excluded:
            raise UsageProblem(f"{name} does not go with {option}", "agentctl tasks add --help")
    if option == "--ingest":
        return Action(kind="ingest", text=_source(text), collection=collection)
    what = text if option == "--ask" else well_formed(task or "")
    if not what.strip():
        if option == "--ask":
            raise UsageProblem("the prompt is empty", EXAMPLE)
        raise UsageProblem(f"what is {text} to do?", f'--agent {text} "the task"')
    if option == "--ask":
        return Action(kind="ask", text=what, model=model, collection=collection)
    return Action(
        kind="agent",
        text=what,
        agent=text,
        model=model,
        folder=_folder(workdir),
        code_may_write=workdir is not None,
    )


def _only(given: Mapping[str, str | None], question: str) -> tuple[str, str]:
    """The one that was given, and its value."""
    found = [(option, value) for option, value in given.items() if value is not None]
    if len(found) == 1:
        return found[0]
    if not found:
        *others, last = given
        raise UsageProblem(f"{question}? say one of {', '.join(others)} and {last}", EXAMPLE)
    raise UsageProblem(f"{found[0][0]} and {found[1][0]} exclude each other", found[0][0])


def _source(name: str) -> str:
    """Raises InputMissing."""
    path = absolute(name)
    if not path.startswith(URL_SCHEMES) and not Path(path).exists():
        raise InputMissing(f"there is no {path}", "name a file or a folder that exists")
    return path


def _folder(name: str | None) -> str:
    """Raises InputMissing."""
    folder = Path(absolute(name)) if name is not None else working_directory()
    if not folder.is_dir():
        raise InputMissing(f"there is no folder {folder}", f"mkdir {folder}")
    return str(folder.resolve())


def read_timeout(text: str) -> float:
    """Seconds. Raises UsageProblem."""
    seconds = duration_s(text)
    if not 1 <= seconds <= schedule.LONGEST_INTERVAL_S:
        raise UsageProblem(f"--timeout takes 1 second to 366 days, not {text}", "--timeout 1h")
    return seconds


def read_target(text: str) -> str:
    """Whom to tell, a file by its whole path. Raises UsageProblem."""
    from agentctl.core.automation.notifications import check_target

    kind, _, rest = text.partition(":")
    target = f"file:{absolute(rest)}" if kind == "file" and rest else text
    check_target(target)
    return target
