"""What goes on all day in a soak: tasks, files that come and go, questions, commands."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from agentctl.core.automation.tasks import Action, Interrupted, TaskOptions, TaskRequest, Trigger
from agentctl.core.automation.watched_folders import WatchedFolders
from agentctl.core.automation.watching import WatchRequest
from agentctl.core.moments import moment_text
from agentctl.core.paths import find_paths
from agentctl.core.storage import open_database
from benchmarks.soak_world import Json, World

# Real seconds that one attempt of a task may take, and between two files, calls and commands.
_ATTEMPT_S = 6.0
_FILE_S, _CALL_S, _COMMAND_S = 1.0, 1.2, 8.0
_MOST_FILES = 40
_TOPICS = ("lamp", "tide", "fog", "keeper", "boat", "gull", "rope", "storm", "harbour", "bell")
_KINDS: tuple[Interrupted, ...] = ("resume", "restart", "leave")


def add_tasks(world: World, draw: random.Random, hours: float, one_shots: int) -> None:
    """Tasks of all kinds, as somebody who planned the day."""
    store = world.store()
    ask = Action(kind="ask", text="When is the lamp lit?")
    folder = str(world.work)
    look = Action(kind="agent", agent="assistant", text="Look what is here.", folder=folder)
    write = Action(kind="agent", agent="assistant", text="Write the log.", folder=folder)
    take = Action(kind="ingest", text=str(world.taken), collection="taken")
    notify = (f"file:{world.notices}",)
    requests = [
        _task("ask-often", _cron("*/20 * * * *"), ask),
        _task("ask-punctual", _cron("5,35 * * * *"), ask, missed="skip", interrupted="leave"),
        _task("ask-again", _every(45 * 60), ask, retries=2),
        _task("ask-told", _cron("15 */3 * * *"), ask, interrupted="restart", notify=notify),
        _task("ask-at-night", _cron("*/30 1-3 * * *", "Europe/Berlin"), ask),
        _task("agent-hourly", _cron("10 * * * *"), look),
        _task("agent-writes", _cron("40 */2 * * *"), write, interrupted="restart"),
        _task("ingest-hourly", _every(3600), take),
        _task("ingest-often", _cron("25,55 * * * *"), take, interrupted="leave"),
    ]
    for n in range(one_shots):
        due = world.now() + timedelta(hours=draw.uniform(0.3, 0.97 * hours))
        trigger = Trigger(kind="once", expression=moment_text(due, "seconds"))
        action = (ask, look, take)[n % 3]
        requests.append(_task(f"once-{n}", trigger, action, interrupted=_KINDS[n % 2 + 1]))
    for request in requests:
        store.add(request)


def watch_folders(world: World) -> None:
    watched = WatchedFolders(open_database(find_paths(world.environ).database), world.now)
    for folder in world.watched:
        watched.add(WatchRequest(path=str(folder)))


def _task(name: str, trigger: Trigger, action: Action, **options: object) -> TaskRequest:
    told = TaskOptions(timeout_s=_ATTEMPT_S, **options)  # type: ignore[arg-type]  # named above
    return TaskRequest(name=name, trigger=trigger, action=action, options=told)


def _cron(expression: str, timezone: str = "UTC") -> Trigger:
    return Trigger(kind="cron", expression=expression, timezone=timezone)


def _every(seconds: int) -> Trigger:
    return Trigger(kind="interval", expression=str(seconds))


class Load:
    """Three users at once, until they are stopped. `outcomes` counts what they got."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._stop = threading.Event()
        self.outcomes: Counter[str] = Counter()
        users = ((self._file, _FILE_S), (self._call, _CALL_S), (self._command, _COMMAND_S))
        self._threads = [
            threading.Thread(target=self._go_on, args=(user, pause_s, random.Random(seed + n)))
            for n, (user, pause_s) in enumerate(users)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(150)

    def _go_on(
        self, use: Callable[[random.Random], None], pause_s: float, draw: random.Random
    ) -> None:
        while not self._stop.wait(pause_s * draw.uniform(0.5, 1.5)):
            try:
                use(draw)
            except Exception as error:  # noqa: BLE001 - the outer edge of a user
                self._world.breaches.append(f"a user of the soak failed: {error!r}")

    def _file(self, draw: random.Random) -> None:
        """A file of a folder comes, changes, is renamed or goes."""
        with self._world.files_lock:
            folder = draw.choice([*self._world.watched, self._world.taken])
            files = sorted(folder.glob("*.*"))
            act = draw.choice(("write", "write", "change", "rename", "remove"))
            if len(files) > _MOST_FILES:
                act = "remove"
            if act == "write" or not files:
                self._write(draw, folder / f"{draw.choice(_TOPICS)}-{draw.randrange(10**6)}")
            elif act == "change":
                file = draw.choice(files)
                file.write_text(file.read_text() + f"\nMore of the {draw.choice(_TOPICS)}.\n")
            elif act == "rename":
                file = draw.choice(files)
                file.rename(folder / f"renamed-{draw.randrange(10**6)}{file.suffix}")
            else:
                draw.choice(files).unlink()

    def _write(self, draw: random.Random, path: Path) -> None:
        words = " ".join(draw.choices(_TOPICS, k=30))
        if draw.random() < 0.2:
            path.with_suffix(".py").write_text(f'"""About {words}."""\n\nLAMP = {words!r}\n')
        else:
            path.with_suffix(".md").write_text(f"# {path.name}\n\nOf {words}.\n")

    def _call(self, draw: random.Random) -> None:
        topic = draw.choice(_TOPICS)
        question: Json = {"prompt": f"What of the {topic}?", "stream": draw.random() < 0.5}
        task: Json = {"task": "Write the log.", "folder": str(self._world.work)}
        act, call = draw.choice(
            [
                ("search", ("GET", f"/search?q={topic}", None)),
                ("search", ("GET", f"/search?q={topic}&mode=keyword", None)),
                ("question", ("POST", "/agent/query", question)),
                ("agent", ("POST", "/agents/assistant/runs", task)),
                ("approval", None),
                ("figures", ("GET", "/system/stats", None)),
                ("tasks", ("GET", "/tasks", None)),
                ("journal", ("GET", f"/journal?since={_day_ago(self._world.now())}", None)),
            ]
        )
        if call is None:
            self._answer_who_waits(draw)
        else:
            self._send(act, *call)

    def _answer_who_waits(self, draw: random.Random) -> None:
        runs = self._send("runs", "GET", "/runs?limit=100", None)
        for run in [each for each in runs or () if each["status"] == "waiting"][:3]:
            answer = draw.choice(("approve", "approve", "deny"))
            self._send(answer, "POST", f"/runs/{run['id']}/{answer}", {})

    def _send(self, act: str, method: str, path: str, body: Json) -> Json:
        answer = self._world.send(method, path, body)
        if answer is None:
            self.outcomes[f"{act}: no answer"] += 1
            return None
        is_json = "json" in answer.headers.get("content-type", "")
        told = answer.json if is_json and answer.body else None
        code = told["error"]["code"] if isinstance(told, dict) and "error" in told else "ok"
        self.outcomes[f"{act}: {code}"] += 1
        if code == "unexpected":
            self._world.breaches.append(f"{method} {path}: {told['error']['message']}")
        return told if code == "ok" else None

    def _command(self, draw: random.Random) -> None:
        topic = draw.choice(_TOPICS)
        words = draw.choice(
            [
                ("ask", f"What of the {topic}?"),
                ("search", topic),
                ("tasks", "list"),
                ("daemon", "status"),
                ("docs", "list"),
                ("runs", "list"),
                ("monitor", "--once"),
            ]
        )
        done = self._world.run(*words)
        self.outcomes[f"command {words[0]}: exit {done.returncode}"] += 1
        if "Traceback" in done.stderr or "unexpected" in done.stderr:
            self._world.breaches.append(f"{' '.join(words)}: {done.stderr[-400:]}")


def _day_ago(now: datetime) -> str:
    return moment_text(now - timedelta(days=1), "seconds")
