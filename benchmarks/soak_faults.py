"""What goes wrong in a soak: each fault begins, ends, is to be seen, and to be over by itself."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import soak_acts as acts
from benchmarks.soak_acts import Act, Look
from benchmarks.soak_server import Mood
from benchmarks.soak_world import World


def _nothing(world: World) -> None:
    """It ends by itself."""


def _always(world: World) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`lasts_s` is real seconds. `sign` is what must be read in the journal, among the problems of
    the daemon's state or in the outcome of a task; none for what harms nobody. `is_over` is looked
    at beside the daemon's health. While one that `stops` lasts, nothing can be begun; those that
    `kills` end the daemon.
    """

    kind: str
    way: str
    begin: Act
    end: Act = _nothing
    lasts_s: float = 6.0
    sign: str | None = None
    is_over: Look = _always
    stops: bool = False
    kills: bool = False


def _lies(mood: Mood, way: str, sign: str | None) -> Fault:
    return Fault(
        kind="the model server lies",
        way=way,
        begin=acts.feels(mood),
        end=acts.feels(""),
        lasts_s=9.0,
        sign=sign,
    )


_SERVER = r"Ollama|nothing answers|ollama serve"
_BROKEN = r"broke off|no end|malformed|cannot be read|without|stopped|not JSON|interrupt|engine"
_SETTINGS = r"settings of before stay in force"

FAULTS: tuple[Fault, ...] = (
    Fault(kind="the model server dies", way="kill -9", begin=acts.kill_server, sign=_SERVER),
    Fault(
        kind="the model server dies",
        way="killed, and does not start any more",
        begin=acts.take_server,
        end=acts.give_server,
        lasts_s=14.0,
        sign=_SERVER,
    ),
    Fault(
        kind="the model server hangs",
        way="takes connections and is silent",
        begin=acts.feels("silent"),
        end=acts.feels(""),
        lasts_s=14.0,
        sign=r"hanging|does not answer|takes connections|did not answer|" + _SERVER,
    ),
    Fault(
        kind="the model server hangs",
        way="in the middle of each answer",
        begin=acts.feels("hangs"),
        end=acts.feels(""),
        lasts_s=9.0,
        sign=r"silen|said nothing|stopped after|seconds|waited",
    ),
    _lies("cuts", "answers without an end", _BROKEN),
    _lies("garbage", "half lines", _BROKEN),
    _lies("resets", "connections are reset", _BROKEN + "|reset"),
    _lies("errors", "errors in the middle of answers", _BROKEN),
    _lies("numbers", "wrong numbers of tokens and seconds", None),
    Fault(
        kind="the disk is full",
        way="to the last byte",
        begin=acts.fill_disk,
        end=acts.free_disk,
        lasts_s=10.0,
        sign=r"space|full|disk",
        stops=True,
    ),
    Fault(
        kind="the disk is full",
        way="to the last byte, while files come",
        begin=acts.fill_disk_and_folder,
        end=acts.free_disk,
        lasts_s=12.0,
        sign=r"space|full|disk",
        stops=True,
        is_over=acts.folders_are_taken_in,
    ),
    Fault(
        kind="the vector index is damaged",
        way="its beginning is overwritten",
        begin=acts.spoil_index(acts.overwrite),
        is_over=acts.index_is_sound,
        lasts_s=3.0,
    ),
    Fault(
        kind="the vector index is damaged",
        way="cut in half",
        begin=acts.spoil_index(acts.halve),
        is_over=acts.index_is_sound,
        lasts_s=3.0,
    ),
    Fault(
        kind="the vector index is damaged",
        way="removed",
        begin=acts.spoil_index(Path.unlink),
        is_over=acts.index_is_sound,
        lasts_s=3.0,
    ),
    Fault(
        kind="the database is locked",
        way="13 s, for writing",
        begin=acts.lock_database("IMMEDIATE"),
        lasts_s=0.0,
        sign=r"locked",
        stops=True,
    ),
    Fault(
        kind="the database is locked",
        way="13 s, altogether",
        begin=acts.lock_database("EXCLUSIVE"),
        lasts_s=0.0,
        sign=r"locked",
        stops=True,
    ),
    Fault(kind="the clock jumps", way="2 h 40 min forward", begin=acts.jump(minutes=160)),
    Fault(kind="the clock jumps", way="35 min back", begin=acts.jump(minutes=-35)),
    Fault(
        kind="the clock jumps",
        way="3 h back",
        begin=acts.jump(hours=-3),
        sign=r"the clock went back",
    ),
    Fault(
        kind="a watched folder is gone",
        way="moved away and back",
        begin=acts.move_away,
        end=acts.put_back,
        sign=r"the folder is gone",
        is_over=acts.folders_are_taken_in,
    ),
    Fault(
        kind="a watched folder is gone",
        way="an empty one in its place, as a drive that is not mounted",
        begin=acts.put_empty_one,
        end=acts.put_back_full_one,
        is_over=acts.folders_are_taken_in,
    ),
    Fault(
        kind="a flood of files",
        way="150 come at once, 100 of them go",
        begin=acts.flood,
        end=acts.ebb,
        sign=r"\d+ added",
        is_over=acts.folders_are_taken_in,
    ),
    Fault(
        kind="kill -9 of the daemon",
        way="while a task runs",
        begin=acts.kill_while_at_work,
        sign=r"had ended without being stopped",
        kills=True,
    ),
    Fault(
        kind="kill -9 of the daemon",
        way="three times in a row",
        begin=lambda world: [world.kill_daemon() for _ in range(3)] and None,
        sign=r"had ended without being stopped",
        kills=True,
    ),
    Fault(
        kind="a worker is killed",
        way="the process that parses files",
        begin=acts.kill_worker,
        is_over=acts.folders_are_taken_in,
        sign=r"watched-2: \d+ added",
    ),
    Fault(
        kind="no memory for a model",
        way="four tasks ask for one that is too large",
        begin=acts.add_huge,
        lasts_s=6.0,
        sign=r"memory",
    ),
    Fault(kind="the log is gone", way="removed", begin=acts.remove_log),
    Fault(
        kind="the log is gone",
        way="a folder is in its place",
        begin=acts.block_log,
        end=acts.unblock_log,
    ),
    Fault(
        kind="the settings are broken",
        way="no TOML",
        begin=acts.break_settings("model = [[[\n"),
        end=acts.mend_settings,
        sign=_SETTINGS,
        is_over=acts.settings_are_in_force,
    ),
    Fault(
        kind="the settings are broken",
        way="a wrong value",
        begin=acts.break_settings('[timeouts]\nidle = "soon"\n'),
        end=acts.mend_settings,
        sign=_SETTINGS,
        is_over=acts.settings_are_in_force,
    ),
    Fault(
        kind="a job without an end",
        way="an answer that never ends",
        begin=acts.add_endless,
        lasts_s=8.0,
        sign=r"stopped after",
    ),
    Fault(
        kind="no file can be opened",
        way="the limit of open files is reached",
        begin=acts.limit_files,
        end=acts.unlimit_files,
        sign=r"open files|Errno 24|unable to open",
        stops=True,
    ),
    Fault(
        kind="the machine sleeps",
        way="the daemon stands still",
        begin=acts.sleep_machine,
        stops=True,
    ),
)


def choose(seed: int, count: int) -> list[Fault]:
    """So many of them, each kind at least once; those that kill come in the first half.

    So the second half is one life of the daemon, of which it can be seen what grows.
    """
    draw = random.Random(seed)
    ways: dict[str, list[Fault]] = {}
    for fault in draw.sample(FAULTS, len(FAULTS)):
        ways.setdefault(fault.kind, []).append(fault)
    first = [each.pop() for each in ways.values()]
    rest = [fault for each in ways.values() for fault in each]
    chosen = [*first, *draw.sample(rest, min(len(rest), max(0, count - len(first))))][:count]
    draw.shuffle(chosen)
    half = len(chosen) // 2
    killing = [fault for fault in chosen if fault.kills]
    others = [fault for fault in chosen if not fault.kills]
    early = others[: max(0, half - len(killing))] + killing
    draw.shuffle(early)
    return [*early, *others[max(0, half - len(killing)) :]]


def find_sign(sign: str, lines: Sequence[str]) -> str | None:
    """The first line that tells of it."""
    return next((line for line in lines if re.search(sign, line, re.IGNORECASE)), None)
