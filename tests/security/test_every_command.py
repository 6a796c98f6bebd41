"""What holds for every command there is: nothing leaves the machine, others read nothing."""

import json
import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from agentctl.core.paths import make_private
from tests.security.lines import AGENTS, LINES, Line, command_of
from tests.security.machine import Machine, machine
from tests.support.agents import KINDS, call
from tests.support.cli import command
from tests.support.command_tree import LEAVES
from tests.support.terminal import Terminal

if os.name != "posix":
    pytest.skip("rights and terminals are POSIX's", allow_module_level=True)

PROGRAMS = {"bwrap", "nvidia-smi", "python", "python3", "python3.11", "true", "sh"}
# What the user has asked to have in a folder of their own.
ASKED_FOR = {"exported.jsonl", "run.md", "written.txt", "saved.zip"}
# Code that a model wrote, which leaves a file in the run's own folder.
SCRATCH = """
import re
mounts = open("/proc/self/mounts").read()
open(re.search(r"\\S+/runs/\\S+", mounts)[0] + "/a.txt", "w").write("x")
"""


def test_every_command_has_a_line() -> None:
    assert {command_of(each.words, list(LEAVES)) for each in LINES} == set(LEAVES)


@pytest.mark.parametrize("is_default_home", [True, False], ids=["fresh-user", "own-home"])
def test_no_command_reaches_out_or_shows_others_what_it_keeps(
    is_default_home: bool, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    home = tmp_path / ("user" if is_default_home else "own")
    open_to_all, failures = {}, []
    with machine(tmp_path, is_default_home=is_default_home) as made:
        furnish(made)
        before = os.umask(0 if is_default_home else 0o022)
        try:
            for each in LINES:
                failures += walk(made, each)
                for path in open_to_others(home):
                    open_to_all.setdefault(path, " ".join(each.words))
        finally:
            os.umask(before)
        assert not failures, "\n".join(failures)
        assert made.tried() == []
        assert made.unrouted() == 0
        assert made.started() <= PROGRAMS
    assert open_to_all == {}
    assert {each.name for each in made.folder.iterdir()} - FURNITURE == ASKED_FOR


def furnish(made: Machine) -> None:
    """What a user has: notes, agents of each kind, and a schema."""
    notes = made.folder / "notes"
    notes.mkdir()
    (notes / "lamp.md").write_text("# The lamp\n\nThe lamp of the lighthouse is green.\n")
    (notes / "page.html").write_text("<img src='http://203.0.113.5/x.png'><p>A page.")
    (made.folder / "questions.jsonl").write_text(
        json.dumps({"query": "lamp", "relevant": [{"path": "lamp.md", "text": "green"}]})
    )
    (made.folder / "schema.json").write_text('{"type": "object"}')
    paths = json.loads(made.run(["config", "path", "--json"]).stdout)["data"]
    agents = Path(paths["settings"]).parent / "agents"
    make_private(agents)
    for kind in KINDS:
        (agents / f"{kind.name}.toml").write_text(kind.file)
        (agents / f"{kind.name}.toml").chmod(0o600)
        replies = kind.steps([call("run_python", code=SCRATCH)], "done")
        text = "\n".join(map(json.dumps, replies))
        (made.folder / f"{kind.name}.jsonl").write_text(text)
    assert {kind.name for kind in KINDS} == set(AGENTS)


FURNITURE = {"notes", "questions.jsonl", "schema.json", *(f"{kind}.jsonl" for kind in AGENTS)}


def walk(made: Machine, each: Line) -> list[str]:
    """What went wrong with one line, if anything."""
    if each.by == "itself":
        done = made.run(each.words, each.stdin)
        code, told = done.returncode, done.stdout + done.stderr
    elif each.by == "signal":
        code, told = interrupted(made, each)
    else:
        code, told = typed(made, each)
    return [] if code in each.exits else [f"{' '.join(each.words)}: {code}\n{told[-2000:]}"]


def interrupted(made: Machine, each: Line) -> tuple[int, str]:
    with subprocess.Popen(
        [*made.prefix, *command(*each.words)],
        env=made.env,
        cwd=made.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        told = ""
        for text in process.stdout:
            told += text
            if each.shows in text:
                break
        process.send_signal(signal.SIGINT)
        told += process.stdout.read()
    return process.returncode, told


def typed(made: Machine, each: Line) -> tuple[int, str]:
    launch = ["env", "-C", str(made.folder), *made.prefix, *command(*each.words)]
    with Terminal(launch, made.env) as terminal:
        terminal.wait_for(each.shows)
        terminal.type(each.keys)
        code = terminal.finish()
        return code, terminal.output.decode(errors="replace")


def open_to_others(folder: Path) -> list[str]:
    """Whatever below it has a right for anybody but its owner.

    What a run's code makes has the modes that the code gave it: there the run's folder counts.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        is_of_code = path.parent.parent.name == "runs"
        if not (is_of_code or stat.S_ISLNK(status.st_mode)) and status.st_mode & 0o077:
            found.append(f"{stat.filemode(status.st_mode)} {path.relative_to(folder)}")
    return found
