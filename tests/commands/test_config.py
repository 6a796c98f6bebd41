"""`agentctl config`: which settings are in force, where they come from, and changing them."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from agentctl.core.config import key_types
from tests.support.cli import command, environment, run

on_posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX terminal")


@pytest.fixture
def env(home: Path) -> dict[str, str]:
    return environment(home)


@pytest.fixture
def file(home: Path) -> Path:
    """The user's file, not made yet."""
    return home / "agentctl" / "config" / "config.toml"


def data_of(*arguments: str, env: dict[str, str], cwd: Path | None = None) -> Any:  # Any: JSON
    done = run(*arguments, "--json", env=env, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["data"]


def test_every_setting_is_shown_with_its_origin(env: dict[str, str], file: Path) -> None:
    run("config", "set", "model", "qwen3:4b", env=env)
    shown = data_of("config", "show", env=env)

    assert list(shown) == list(key_types())
    assert shown["model"] == {"value": "qwen3:4b", "from": str(file)}
    assert shown["ollama.host"] == {"value": "http://127.0.0.1:1", "from": "environment"}
    assert shown["ollama.start"] == {"value": True, "from": "default"}


def test_in_a_pipe_a_setting_is_a_line(env: dict[str, str]) -> None:
    lines = run("config", "show", env=env).stdout.splitlines()

    assert [line.split("\t")[0] for line in lines] == list(key_types())
    assert "ollama.start\ttrue\tdefault" in lines


def test_a_value_is_got_as_it_is_set(env: dict[str, str]) -> None:
    done = run("config", "set", "ollama.context_window", "16_384", env=env)
    got = run("config", "get", "ollama.context_window", env=env)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert got.stdout == "16384\n"


@pytest.mark.parametrize("key", ["embedded.gpu_layers", "ollama.keep_alive"])
def test_a_value_may_begin_with_a_minus(key: str, env: dict[str, str]) -> None:
    done = run("config", "set", key, "-1", env=env)

    assert (done.returncode, done.stderr) == (0, "")
    assert run("config", "get", key, env=env).stdout == "-1\n"


def test_setting_tells_what_is_in_force(env: dict[str, str]) -> None:
    env["AGENTCTL_MODEL"] = "stronger:1b"
    data = data_of("config", "set", "model", "weaker:1b", env=env)

    assert data == {"value": "stronger:1b", "from": "environment"}


def test_setting_what_a_project_overrules_is_told(env: dict[str, str], tmp_path: Path) -> None:
    project = tmp_path / "agentctl.toml"
    project.write_text("limits.input_bytes = 10\n")
    overruled = run("config", "set", "limits.input_bytes", "21", env=env, cwd=tmp_path)
    alone = run("config", "set", "limits.folder_files", "21", env=env, cwd=tmp_path)

    warning = f"warning: {project} sets limits.input_bytes, too, and wins here\n"
    assert (overruled.returncode, overruled.stdout, overruled.stderr) == (0, "", warning)
    assert alone.stderr == ""


def test_what_is_unset_has_its_default_again(env: dict[str, str]) -> None:
    run("config", "set", "model", "qwen3:4b", env=env)
    data = data_of("config", "set", "model", "--unset", env=env)
    again = run("config", "set", "model", "--unset", env=env)

    assert data == {"value": "auto", "from": "default"}
    assert again.returncode == 0
    assert "model was not set" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["get", "ollama.hots"], 78, "did you mean ollama.host?"),
        (["set", "ollama.hots", "x"], 78, "did you mean ollama.host?"),
        (["set", "ollama.start", "maybe"], 78, "must be true or false"),
        (["set", "model"], 2, "agentctl config set model VALUE"),
        (["set", "model", "x", "--unset"], 2, "give a value, or --unset"),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_no_file(
    arguments: list[str], exit_code: int, message: str, env: dict[str, str], file: Path
) -> None:
    done = run("config", *arguments, env=env)

    assert (done.returncode, done.stdout) == (exit_code, "")
    assert message in done.stderr
    assert not file.exists()


def test_a_broken_file_can_still_be_mended_by_command(env: dict[str, str], file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text("modle = 'x'\n")

    assert run("config", "show", env=env).returncode == 78
    assert run("config", "set", "modle", "--unset", env=env).returncode == 0
    assert run("config", "show", env=env).returncode == 0


def test_a_project_has_its_own_settings(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "agentctl.toml").write_text("[limits]\nfolder_files = 7\n")
    shown = data_of("config", "get", "limits.folder_files", env=env, cwd=tmp_path)

    assert shown == {"value": 7, "from": str(tmp_path / "agentctl.toml")}


def test_path_tells_every_place_on_disk(env: dict[str, str], home: Path, file: Path) -> None:
    places = data_of("config", "path", env=env)
    lines = run("config", "path", env=env).stdout.splitlines()

    assert list(places) == ["settings", "templates", "database", "models", "cache", "log"]
    assert places["settings"] == str(file)
    assert all(place.startswith(str(home)) for place in places.values())
    assert [line.split("\t") for line in lines] == [list(item) for item in places.items()]


# Editing


def test_without_a_terminal_there_is_no_editing(env: dict[str, str], file: Path) -> None:
    done = run("config", "edit", env={**env, "EDITOR": "false"})

    assert done.returncode == 2
    assert "agentctl config set KEY VALUE" in done.stderr
    assert not file.exists()


def edited(env: dict[str, str], program: str) -> tuple[int, str]:
    """The exit code, and what the terminal shows, with a Python program for an editor."""
    from tests.support.terminal import Terminal

    editor = shlex.join([sys.executable, "-c", f"import sys; file = sys.argv[1]; {program}"])
    with Terminal(command("config", "edit"), {**env, "EDITOR": editor}) as terminal:
        code = terminal.finish()
        return code, " ".join(terminal.output.decode().split())


@on_posix
def test_a_new_file_shows_every_key_commented_out(env: dict[str, str], file: Path) -> None:
    code, shown = edited(env, "pass")

    assert code == 0, shown
    assert "# context_window = 8192\n" in file.read_text()
    assert {each["from"] for each in data_of("config", "show", env=env).values()} == {
        "default",
        "environment",
    }


@on_posix
def test_a_mistake_in_the_editor_is_told_at_once(env: dict[str, str], file: Path) -> None:
    code, shown = edited(env, "open(file, 'w').write('modle = 1')")

    assert code == 78
    assert f"{file}:1: unknown key modle" in shown


@on_posix
def test_an_editor_that_fails_is_told(env: dict[str, str]) -> None:
    code, shown = edited(env, "sys.exit(3)")

    assert code == 2
    assert "set EDITOR to your editor" in shown


@pytest.mark.parametrize("value", ["nope:foo", "ollama:", "olama:nomic-embed-text", ""])
def test_what_is_no_embedder_is_refused(value: str, env: dict[str, str], file: Path) -> None:
    done = run("config", "set", "knowledge.embedder", value, env=env)

    assert done.returncode == 78
    assert "agentctl config set knowledge.embedder" in done.stderr
    assert not file.exists()


@pytest.mark.parametrize("target", ["bogus", "file:notes.txt", "command:no-such-program --now"])
def test_nobody_who_cannot_be_told_is_set(target: str, env: dict[str, str], file: Path) -> None:
    done = run("config", "set", "daemon.notify", target, env=env)

    assert done.returncode in (2, 78)
    assert not file.exists()
