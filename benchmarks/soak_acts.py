"""What the faults of a soak do to its world, and how it is seen that they are over."""

import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

import psutil

from agentctl.core.automation.tasks import Action, TaskOptions, TaskRequest, Trigger
from agentctl.core.moments import moment_text
from agentctl.core.paths import find_paths
from benchmarks.soak_server import ENDLESS_MODEL, HUGE_MODEL, Mood
from benchmarks.soak_world import World, documents_differ, until

Act = Callable[[World], None]
Look = Callable[[World], bool]

# The model server


def kill_server(world: World) -> None:
    server = world.server()
    if server is not None:
        server.kill()
        server.wait(5)
    world.end_server()


def take_server(world: World) -> None:
    world.feels("absent")
    kill_server(world)


def give_server(world: World) -> None:
    world.feels("")
    if world.server() is None:
        world.start_server()


def feels(mood: Mood) -> Act:
    return lambda world: world.feels(mood)


# The disk, the database, the index


def fill_disk(world: World) -> None:
    """To the last byte; and what the database has written ahead has no room of its own left."""
    path = find_paths(world.environ).database
    with closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (world.disk / "ballast").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(65_536))


def fill_disk_and_folder(world: World) -> None:
    fill_disk(world)
    for n in range(30):
        (world.watched[1] / f"wreck{n}.md").write_text(f"# Wreck {n}\n\nWreck number {n} lies.\n")


def free_disk(world: World) -> None:
    (world.disk / "ballast").unlink(missing_ok=True)


def lock_database(how: str) -> Act:
    """For as long as it takes; what is due meanwhile cannot be begun."""

    def lock(world: World) -> None:
        path = find_paths(world.environ).database
        with closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as connection:
            connection.execute(f"BEGIN {how}")
            time.sleep(13)
            connection.execute("ROLLBACK")

    return lock


def spoil_index(change: Callable[[Path], object]) -> Act:
    def spoil(world: World) -> None:
        for file in find_paths(world.environ).vector_indexes.glob("*.faiss"):
            change(file)

    return spoil


def overwrite(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(b"\xff" * 64)


def halve(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)


def index_is_sound(world: World) -> bool:
    done = world.run("docs", "verify", "--json")
    found = world.send("GET", "/search?q=lamp")
    return done.returncode == 0 and found is not None and found.status == 200


# Folders


def move_away(world: World) -> None:
    world.files_lock.acquire()
    world.watched[0].rename(world.folder / "away")


def put_back(world: World) -> None:
    (world.folder / "away").rename(world.watched[0])
    world.files_lock.release()


def put_empty_one(world: World) -> None:
    move_away(world)
    world.watched[0].mkdir()


def put_back_full_one(world: World) -> None:
    world.watched[0].rmdir()
    put_back(world)


def flood(world: World) -> None:
    folder = world.watched[1] / "flood"
    folder.mkdir()
    for n in range(150):
        (folder / f"{n}.md").write_text(f"# Wave {n}\n\nWave number {n} breaks.\n")


def ebb(world: World) -> None:
    folder = world.watched[1] / "flood"
    for each in list(folder.iterdir())[:100]:
        each.unlink()


def folders_are_taken_in(world: World) -> bool:
    with world.files_lock:
        return until(lambda: not differences(world), 8.0) is not None


def differences(world: World) -> list[str]:
    return [each for folder in world.watched for each in documents_differ(world, folder)]


# Processes


def kill_while_at_work(world: World) -> None:
    until(lambda: bool(world.health().get("running")), 8.0, 0.02)
    world.kill_daemon()


def kill_worker(world: World) -> None:
    """The process that parses files, while it does: its files come again."""
    for n in range(40):
        (world.watched[2] / f"made{n}.py").write_text(f'"""Module {n}."""\n\nLAMP = {n}\n' * 20)
    until(partial(end_children, world, "--load-worker"), 10.0, 0.02)


def end_children(world: World, word: str) -> bool:
    with suppress(psutil.Error):
        assert world.daemon is not None
        for child in psutil.Process(world.daemon.pid).children():
            if word in child.cmdline():
                child.kill()
                return True
    return False


def sleep_machine(world: World) -> None:
    assert world.daemon is not None
    world.daemon.send_signal(signal.SIGSTOP)
    time.sleep(6)
    world.daemon.send_signal(signal.SIGCONT)


def limit_files(world: World) -> None:
    """No file more can be opened, nor in the place of the next that is closed."""
    import resource  # not on Windows

    assert world.daemon is not None
    process = psutil.Process(world.daemon.pid)
    _, most = process.rlimit(resource.RLIMIT_NOFILE)
    process.rlimit(resource.RLIMIT_NOFILE, (process.num_fds() - 2, most))


def unlimit_files(world: World) -> None:
    import resource

    assert world.daemon is not None
    process = psutil.Process(world.daemon.pid)
    _, most = process.rlimit(resource.RLIMIT_NOFILE)
    process.rlimit(resource.RLIMIT_NOFILE, (most, most))


# Tasks


def add_task(world: World, name: str, model: str, timeout_s: float) -> None:
    due = world.now() + timedelta(minutes=3)
    world.store().add(
        TaskRequest(
            name=f"{name}-{due:%H%M}",
            trigger=Trigger(kind="once", expression=moment_text(due, "seconds")),
            action=Action(kind="ask", text="Go on for ever.", model=f"ollama:{model}"),
            options=TaskOptions(timeout_s=timeout_s, interrupted="leave"),
        )
    )


def add_endless(world: World) -> None:
    add_task(world, "endless", ENDLESS_MODEL, 2.0)


def add_huge(world: World) -> None:
    for n in range(4):
        add_task(world, f"huge{n}", HUGE_MODEL, 4.0)


# The log and the settings


def remove_log(world: World) -> None:
    find_paths(world.environ).log.unlink(missing_ok=True)


def block_log(world: World) -> None:
    """A folder in its place: nothing can be written there."""
    remove_log(world)
    find_paths(world.environ).log.mkdir()


def unblock_log(world: World) -> None:
    find_paths(world.environ).log.rmdir()


def break_settings(text: str) -> Act:
    return lambda world: (world.settings.write_text(text), None)[1]


def mend_settings(world: World) -> None:
    world.settings.write_text(world.right_settings)


def settings_are_in_force(world: World) -> bool:
    return bool(world.health())


def jump(**by: float) -> Act:
    return lambda world: world.jump(timedelta(**by))
