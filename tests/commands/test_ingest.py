"""`agentctl ingest`: what goes in, what is said meanwhile, and what is left when it is stopped."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from agentctl.core.file_lock import locked
from agentctl.core.paths import find_paths, make_private
from tests.support.cli import command, environment, run
from tests.support.library import data_of, stored, write_notes

needs_rights = pytest.mark.skipif(
    os.name != "posix" or (os.geteuid() == 0 and shutil.which("setpriv") is None),
    reason="needs a user whom the rights of files stop",
)
on_posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX terminal")


@pytest.fixture
def env(home: Path) -> dict[str, str]:
    return environment(home)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return write_notes(tmp_path / "notes")


def ingest_lock(env: dict[str, str]) -> Path:
    """What an ingest holds while it writes."""
    paths = find_paths(env)
    make_private(paths.data)
    return paths.ingest_lock


def without_time(text: str) -> list[str]:
    return re.sub(r" in [\d.]+ s$", "", text, flags=re.M).splitlines()


# What goes in


def test_a_folder_is_taken_in_with_a_line_a_file_on_stderr(
    env: dict[str, str], notes: Path
) -> None:
    done = run("ingest", "notes", env=env, cwd=notes.parent)

    assert (done.returncode, done.stdout) == (0, "")
    assert without_time(done.stderr) == [
        "added notes/lighthouse.md (1 chunk)",
        "added notes/sextant.md (1 chunk)",
        "2 added: 2 chunks",
    ]


def test_only_what_has_changed_is_told_the_next_time(env: dict[str, str], notes: Path) -> None:
    run("ingest", str(notes), env=env)
    again = run("ingest", str(notes), env=env)
    (notes / "sextant.md").write_text("It is made of brass.")
    changed = run("ingest", "../notes/.", env=env, cwd=notes)

    assert without_time(again.stderr) == ["2 unchanged"]
    assert without_time(changed.stderr) == [
        "updated sextant.md (1 chunk)",
        "1 updated, 1 unchanged: 1 chunk",
    ]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--include", "*.md"], ["a.md", "b.md"]),
        (["--include", "a.*", "--include", "c.txt"], ["a.md", "c.txt"]),
        (["--exclude", "deep/"], ["a.md", "c.txt"]),
        (["--include", "*.md", "--exclude", "a.*"], ["b.md"]),
    ],
)
def test_globs_choose_the_files_of_a_folder(
    flags: list[str], expected: list[str], env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "all" / "deep").mkdir(parents=True)
    for name in ("a.md", "deep/b.md", "c.txt"):
        (tmp_path / "all" / name).write_text("Hello.")
    done = run("ingest", "all", "--dry-run", *flags, env=env, cwd=tmp_path)

    assert sorted(line.rpartition(os.sep)[2] for line in done.stdout.splitlines()) == expected


def test_a_dry_run_prints_what_would_be_done_and_does_nothing(
    env: dict[str, str], notes: Path
) -> None:
    done = run("ingest", "notes", "--dry-run", env=env, cwd=notes.parent)

    assert done.stdout == "added\tnotes/lighthouse.md\nadded\tnotes/sextant.md\n"
    assert done.stderr == "2 added; nothing was done\n"
    assert stored(env) == []


def test_what_is_gone_stays_until_it_is_pruned(env: dict[str, str], notes: Path) -> None:
    run("ingest", str(notes), env=env)
    (notes / "sextant.md").unlink()
    run("ingest", str(notes), env=env)
    kept = stored(env)
    pruned = data_of("ingest", str(notes), "--prune", env=env)

    assert kept == ["lighthouse.md", "sextant.md"]
    assert (pruned["removed"], stored(env)) == (1, ["lighthouse.md"])


# Standard input


@pytest.mark.parametrize("names", [["-"], []])
def test_stdin_is_taken_in_under_its_title(names: list[str], env: dict[str, str]) -> None:
    done = run("ingest", *names, "--title", "Hours", env=env, stdin="From nine to five.")

    assert (done.returncode, stored(env)) == (0, ["Hours"])


def test_stdin_is_left_alone_when_files_are_named(env: dict[str, str], notes: Path) -> None:
    taken = run("ingest", str(notes), env=env, stdin="Not this.")

    assert (taken.returncode, len(stored(env))) == (0, 2)


@pytest.mark.parametrize(
    ("arguments", "stdin", "hint"),
    [
        ([], "", "agentctl ingest PATH"),
        (["--no-stdin", "--title", "T"], "text", "agentctl ingest PATH"),
        (["-"], "text", '--title "NAME"'),
        (["-", "--title", "T"], " \n", "agentctl ingest PATH"),
        (["-", "--no-stdin", "--title", "T"], "text", "agentctl ingest PATH"),
        (["notes", "--title", "T"], "", "agentctl ingest -"),
        ([""], "", "name a file"),
        (["ftp://example.org/a.md"], "", "save it in a file"),
        (["-", "--title", "T", "--watch"], "text", "agentctl ingest PATH --watch"),
        (["https://example.org", "--watch"], "", "agentctl ingest PATH --watch"),
        (["notes", "--watch", "--dry-run"], "", "agentctl ingest PATH"),
        (["notes", "--collection", ""], "", "--collection notes"),
        (["notes", "--collection", "a\x1b[2Jb"], "", "--collection notes"),
        (["notes", "--collection", " a"], "", "--collection notes"),
    ],
)
def test_wrong_usage_is_refused_with_the_mend(
    arguments: list[str], stdin: str, hint: str, env: dict[str, str]
) -> None:
    done = run("ingest", *arguments, env=env, stdin=stdin)

    assert (done.returncode, done.stdout) == (2, "")
    assert hint in done.stderr.splitlines()[1]


def test_stdin_has_the_limit_of_a_file(home: Path) -> None:
    env = environment(home, AGENTCTL_KNOWLEDGE_FILE_BYTES="10")
    done = run("ingest", "-", "--title", "T", env=env, stdin="eleven byte")

    assert done.returncode == 65
    assert "agentctl config set knowledge.file_bytes" in done.stderr


# Failures


@pytest.mark.parametrize(
    ("names", "codes", "exit_code"),
    [
        (["missing.md"], {"input-missing"}, 66),
        (["binary.dat"], {"input-unreadable"}, 65),
        (["missing.md", "binary.dat"], {"input-missing", "input-unreadable"}, 65),
    ],
)
def test_what_fails_is_told_and_the_rest_is_done(
    names: list[str], codes: set[str], exit_code: int, env: dict[str, str], notes: Path
) -> None:
    (notes / "binary.dat").write_bytes(b"\0\1\2" * 100)
    done = run("ingest", "sextant.md", *names, "--json", env=env, cwd=notes)
    data = json.loads(done.stdout)["data"]
    shown = run("ingest", *names, env=env, cwd=notes)

    assert done.returncode == shown.returncode == exit_code
    assert (data["added"], {failure["code"] for failure in data["failed"]}) == (1, codes)
    assert [line for line in shown.stderr.splitlines() if line.startswith("failed ")] == [
        line for name in names for line in shown.stderr.splitlines() if f"failed {name}: " in line
    ]
    assert stored(env) == ["sextant.md"]


def test_names_that_no_terminal_should_see_are_shown_on_one_line(
    env: dict[str, str], tmp_path: Path
) -> None:
    folder = os.fsencode(tmp_path / "odd")
    os.mkdir(folder)  # noqa: PTH102 - pathlib has no names in bytes
    names = [b"two\nlines.md", b"bell\x07\x1b[31m.md"]
    if os.name == "posix":
        names.append(b"latin-\xe9.md")
    for number, name in enumerate(names):
        with open(os.path.join(folder, name), "w") as file:  # noqa: PTH118, PTH123 - likewise
            file.write(f"Note {number}.")

    lines = run("ingest", "odd", env=env, cwd=tmp_path).stderr.splitlines()
    data = data_of("ingest", "odd", "--force", env=env, cwd=tmp_path)
    listed = run("docs", "list", env=env, cwd=tmp_path).stdout.splitlines()

    assert len(lines) == len(names) + 1
    assert not any("\x07" in line or "\x1b" in line for line in lines)
    assert data["updated"] == len(listed) == len(names)


@needs_rights
@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_pruning_leaves_alone_what_lies_in_a_folder_that_may_not_be_read(
    mode: int, env: dict[str, str], notes: Path
) -> None:
    (notes / "closed").mkdir()
    (notes / "closed" / "buoy.md").write_text("A buoy marks the channel.")
    run("ingest", str(notes), env=env)
    (notes / "closed").chmod(mode)
    flags = ("--prune", "--json")
    done = run("ingest", str(notes), *flags, env=env, is_superuser=False)
    inside = run("ingest", "closed/buoy.md", env=env, cwd=notes, is_superuser=False)
    (notes / "closed").chmod(0o700)

    data = json.loads(done.stdout)["data"]
    assert (done.returncode, data["removed"], len(stored(env))) == (66, 0, 3)
    assert [failure["path"] for failure in data["failed"]] == [str(notes / "closed")]
    assert data["failed"][0]["hint"] == f"chmod u+rx {notes / 'closed'}"
    assert "failed closed/buoy.md: Permission denied" in inside.stderr


@needs_rights
def test_a_folder_whose_ignore_file_may_not_be_read_is_left_alone(
    env: dict[str, str], notes: Path
) -> None:
    run("ingest", str(notes), env=env)
    (notes / ".gitignore").touch(mode=0)
    done = run("ingest", str(notes), "--prune", env=env, is_superuser=False)

    assert (done.returncode, len(stored(env))) == (66, 2)


@needs_rights
@pytest.mark.parametrize("command", ["ingest", "search"])
def test_a_home_that_may_not_be_written_is_named_with_the_mend(
    command: str, env: dict[str, str], notes: Path, tmp_path: Path
) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    env["AGENTCTL_HOME"] = str(tmp_path / "closed" / "home")
    done = run(command, str(notes), "--json", env=env, is_superuser=False)

    error = json.loads(done.stderr)["error"]
    assert (done.returncode, error["code"]) == (1, "storage")
    assert str(tmp_path / "closed") in error["message"]


def test_a_mend_is_told_once_and_what_is_skipped_is_named(home: Path, notes: Path) -> None:
    env = environment(home, AGENTCTL_KNOWLEDGE_FILE_BYTES="100")
    for name in ("a.png", "b.zip"):
        (notes / name).write_bytes(b"\0")
    for name in ("long.md", "longer.md"):
        (notes / name).write_text("word " * 30)
    plain = run("ingest", ".", "--plain", env=env, cwd=notes).stderr.splitlines()
    again = run("ingest", ".", env=env, cwd=notes).stderr.splitlines()
    data = json.loads(run("ingest", ".", "--json", env=env, cwd=notes).stdout)["data"]

    mend = "  try: agentctl config set knowledge.file_bytes 150"
    assert plain.count(mend) == again.count(mend) == 1
    assert {"skipped a.png", "skipped b.zip"} < set(plain)
    assert "skipped, without text: a.png, b.zip" in again
    assert data["skipped"] == 2
    assert data["skipped_paths"] == [str(notes / "a.png"), str(notes / "b.zip")]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names must be UTF-8")
def test_names_that_differ_only_in_bytes_are_two_documents(
    env: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    raw = [os.fsdecode(name) for name in (b"caf\xe9.md", b"caf\xe8.md", b"caf\\xe8.md")]
    for name in raw:
        (folder / name).write_text(f"This is {name!r}.")
    run("ingest", ".", env=env, cwd=folder)
    shown = run("docs", "show", raw[0], env=env, cwd=folder)
    other = run("docs", "show", "caf\\xe8.md", env=env, cwd=folder)
    run("docs", "remove", raw[0], "--yes", env=env, cwd=folder)
    (folder / raw[1]).unlink()
    verified = data_of("docs", "verify", env=env)
    pruned = data_of("ingest", str(folder), "--prune", env=env)

    assert (shown.stdout, other.stdout) == (f"This is {raw[0]!r}.\n", f"This is {raw[2]!r}.\n")
    assert verified["missing"] == [str(folder / "caf\\xe8.md")]
    assert (pruned["added"], pruned["removed"], pruned["unchanged"]) == (1, 1, 1)


# For programs


def test_the_report_has_the_promised_shape(env: dict[str, str], notes: Path) -> None:
    done = run("ingest", str(notes), str(notes / "missing.md"), "--json", env=env)

    data = json.loads(done.stdout)["data"]
    promised = ["added", "updated", "unchanged", "removed", "skipped", "chunks", "failed"]
    assert list(data)[:8] == [*promised, "took_ms"]
    assert data["added"] == data["chunks"] == data["embedded"] == 2
    assert [list(failure) for failure in data["failed"]] == [["path", "code", "message", "hint"]]
    assert done.stderr == ""


def test_steps_stream_as_lines_of_json_with_the_report_last(
    env: dict[str, str], notes: Path
) -> None:
    done = run("ingest", str(notes), "--jsonl", env=env)

    *steps, report = [json.loads(line) for line in done.stdout.splitlines()]
    assert {step["type"] for step in steps} == {"step"}
    assert [step["status"] for step in steps] == ["found", *["embedding"] * 2, *["added"] * 2]
    assert (steps[-1]["done"], steps[-1]["total"]) == (2, 2)
    assert (report["type"], report["added"]) == ("report", 2)


# On a terminal


@on_posix
def test_a_bar_is_drawn_on_a_terminal_and_leaves_a_line(env: dict[str, str], notes: Path) -> None:
    from tests.support.terminal import Terminal

    with Terminal(command("ingest", str(notes), str(notes / "no.md")), env) as terminal:
        assert terminal.finish() == 66
        assert not terminal.screen.cursor.hidden
        assert "━" in terminal.output.decode()
        assert "3/3" in terminal.output.decode()
        shown = [line for line in terminal.lines if line]

    assert shown[0].startswith("failed ")
    assert "2 added, 1 failed: 2 chunks in " in shown[-1]


@on_posix
def test_an_ingest_waits_for_another_and_goes_on_after_it(env: dict[str, str], notes: Path) -> None:
    from tests.support.terminal import Terminal

    with locked(ingest_lock(env), "an ingest"):
        terminal = Terminal(command("ingest", str(notes), "--plain"), env)
        terminal.wait_for("waiting for another ingest to finish")
    with terminal:
        assert terminal.finish() == 0

    assert len(stored(env)) == 2


@on_posix
def test_an_interrupt_says_what_is_kept(env: dict[str, str], notes: Path) -> None:
    from tests.support.terminal import Terminal

    with locked(ingest_lock(env), "an ingest"):
        with Terminal(command("ingest", str(notes)), env, columns=100) as terminal:
            terminal.wait_for("waiting for another ingest")
            terminal.type("\x03")
            terminal.wait_for("the same command goes on from there")
            assert terminal.finish() == 130


@on_posix
def test_a_watched_folder_is_followed_until_ctrl_c(env: dict[str, str], notes: Path) -> None:
    from tests.support.terminal import Terminal

    arguments = command("ingest", str(notes), str(notes / "no.md"), "--watch", "--plain")
    with Terminal(arguments, env, columns=200) as terminal:
        terminal.wait_for("watching for changes; Ctrl+C ends it")
        (notes / "buoy.md").write_text("A buoy marks the channel.")
        terminal.wait_for("added ")
        terminal.wait_for("buoy.md (1 chunk)")
        (notes / "sextant.md").unlink()
        terminal.wait_for("removed ")
        terminal.type("\x03")
        terminal.wait_for("no longer watching")
        assert terminal.finish() == 130
        assert "\n".join(terminal.lines).count("failed ") == 1

    assert stored(env) == ["buoy.md", "lighthouse.md"]
