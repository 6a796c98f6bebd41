"""What every command keeps to: help, wrong usage, errors, pipes and terminals."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from agentctl import __version__
from agentctl.cli import COMMANDS, PROGRAM
from tests.support.cli import command, environment, run, with_ollama
from tests.support.ollama_server import Gate, Reply, ScriptedOllama

on_posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell or terminal")
ESCAPE = "\x1b"
BOX = "╭"


def shown_on_a_terminal(*arguments: str, env: dict[str, str]) -> str:
    """Everything that is written to it, stdout and stderr alike."""
    from tests.support.terminal import Terminal

    with Terminal(command(*arguments), env) as terminal:
        terminal.finish()
        return terminal.output.decode()


# Version and help


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version_is_one_line(flag: str, home: Path) -> None:
    done = run(flag, env=environment(home))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"agentctl {__version__}\n", "")


def test_bare_agentctl_shows_the_help(home: Path) -> None:
    bare, helped = run(env=environment(home)), run("--help", env=environment(home))
    assert (bare.returncode, bare.stdout) == (0, helped.stdout)


def test_help_in_a_pipe_is_plain_text_and_names_every_command(home: Path) -> None:
    done = run("--help", env=environment(home))

    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert ESCAPE not in done.stdout
    assert BOX not in done.stdout


@pytest.mark.parametrize("words", [("models",), ("sessions", "fork")])
def test_h_is_short_for_help(words: tuple[str, ...], home: Path) -> None:
    short = run(*words, "-h", env=environment(home))

    assert short.stdout.startswith(f"Usage: {' '.join((PROGRAM, *words))} ")
    assert short.stdout == run(*words, "--help", env=environment(home)).stdout


@on_posix
@pytest.mark.parametrize("words", [(), ("ask",), ("models",)])
def test_help_has_boxes_on_a_terminal(words: tuple[str, ...], home: Path) -> None:
    assert BOX in shown_on_a_terminal(*words, "--help", env=environment(home))


@on_posix
@pytest.mark.parametrize(("flags", "term"), [(["--plain"], "xterm"), ([], "dumb")])
def test_plain_help_draws_nothing(flags: list[str], term: str, home: Path) -> None:
    shown = shown_on_a_terminal("ask", "--help", *flags, env=environment(home, TERM=term))

    assert "Usage: agentctl ask" in shown
    assert BOX not in shown
    assert ESCAPE not in shown


# Wrong usage


def test_a_text_is_no_command_but_a_question(home: Path) -> None:
    done = run("why is the sky blue?", env=environment(home))

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: no command 'why is the sky blue?'\n  try: agentctl ask \"why is the sky blue?\"\n"
    )


@pytest.mark.parametrize("text", ['say "hi"', "what's $HOME `id`?!"])
def test_the_hint_can_be_run_as_it_stands(text: str, home: Path) -> None:
    done = run(text, env=environment(home))
    hint = done.stderr.partition("try: ")[2]
    assert shlex.split(hint) == ["agentctl", "ask", text]


def test_a_misspelt_command_is_guessed(home: Path) -> None:
    assert "did you mean sessions?" in run("sesions", env=environment(home)).stderr


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("aks hi", "'aks' (did you mean ask?)", 'agentctl ask hi, or agentctl ask "aks hi"'),
        ("hello world --plain", "no command 'hello'", 'agentctl ask "hello world"'),
        ("nosuch", "no command 'nosuch'", 'agentctl ask "nosuch"'),
        ("--plain", "--plain goes after the command", "agentctl COMMAND --plain"),
        (
            "--debug models list",
            "--debug goes after the command",
            "agentctl models list --debug",
        ),
    ],
)
def test_a_line_that_is_no_command_is_mended_whole(
    line: str, message: str, hint: str, home: Path
) -> None:
    done = run(*line.split(), env=environment(home))

    assert (done.returncode, done.stdout) == (2, "")
    told, mend = done.stderr.splitlines()
    assert told.endswith(message)
    assert mend == f"  try: {hint}"


def test_wrong_usage_is_told_in_two_lines(home: Path) -> None:
    done = run("models", "show", env=environment(home))

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: Missing argument 'NAME'.\n  try: agentctl models show --help\n"


WRONG = {
    "an unknown option": ("ask --json --frobnicate", "agentctl ask --help"),
    "a misspelt option": ("ask --json --jsno hi", "--json, or agentctl ask --help"),
    "an option without its value": ("ask --json hi -m", "agentctl ask --help"),
    "half of a pair": ("ask --json hi -o temperature", "agentctl ask --help"),
    "no number": ("ask --json --timeout soon hi", "agentctl ask --help"),
    "a number out of range": ("sessions list -n 0 --json", "agentctl sessions list --help"),
    "a missing argument": ("models show --json", "agentctl models show --help"),
    "a missing subcommand": ("models --json", "agentctl models --help"),
    "an unknown subcommand": ("models frobnicate --json", "agentctl models --help"),
    "an unknown command": ("frobnicate --json", 'agentctl ask "frobnicate"'),
    "two options at odds": ("ask --json -c -s x hi", "agentctl ask -s NAME …"),
    "two forms at once": ("ask --json --jsonl hi", "agentctl ask --json"),
}


@pytest.mark.parametrize(("line", "hint"), WRONG.values(), ids=WRONG)
def test_wrong_usage_is_one_object_with_json(line: str, hint: str, home: Path) -> None:
    done = run(*line.split(), env=environment(home))

    assert (done.returncode, done.stdout) == (2, "")
    document = json.loads(done.stderr)
    assert list(document) == ["schema_version", "command", "error"]
    assert document["error"] == document["error"] | {"code": "usage", "hint": hint}


# Errors


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (["models", "show", "nothing"], 69, "model-not-found"),
        (["sessions", "show", "nothing"], 1, "not-found"),
        (["config", "get", "nothing"], 78, "config"),
        (["templates", "show", "nothing"], 1, "not-found"),
        (["ask", "-f", "/no/such/file", "what?"], 66, "input-missing"),
    ],
)
def test_an_error_is_one_object_of_the_contract_on_stderr(
    arguments: list[str], exit_code: int, code: str, home: Path
) -> None:
    done = run(*arguments, "--json", env=environment(home))

    assert (done.returncode, done.stdout) == (exit_code, "")
    document = json.loads(done.stderr)
    assert list(document) == ["schema_version", "command", "error"]
    assert (document["schema_version"], document["error"]["code"]) == (1, code)
    assert list(document["error"]) == ["code", "message", "hint"]
    assert all(document["error"].values())


@pytest.mark.parametrize("words", [("sessions", "list"), ("config", "path"), ("doctor",)])
def test_an_error_is_of_the_command_whose_data_is_missing(
    words: tuple[str, ...], home: Path
) -> None:
    right = run(*words, "--json", env=environment(home))
    wrong = run(*words, "--json", "--nothing", env=environment(home))

    assert json.loads(right.stdout)["command"] == " ".join(words)
    assert json.loads(wrong.stderr)["command"] == " ".join(words)


def test_a_configuration_error_names_file_line_and_nearest_key(home: Path) -> None:
    file = home / "agentctl" / "config" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("[ollama]\n\nhots = 'http://127.0.0.1:1'\n")
    done = run("ask", "hello", env=environment(home))

    assert (done.returncode, done.stdout) == (78, "")
    assert f"{file}:3: unknown key ollama.hots (did you mean ollama.host?)" in done.stderr
    assert "agentctl config edit" in done.stderr


@pytest.fixture
def broken(home: Path, tmp_path: Path) -> dict[str, str]:
    """An environment in which a library fails as nobody has foreseen."""
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "def break_it(event, arguments):\n"
        "    if event == 'sqlite3.connect':\n"
        "        raise LookupError('nobody has foreseen this')\n"
        "sys.addaudithook(break_it)\n"
    )
    return environment(home, PYTHONPATH=os.pathsep.join([str(folder), str(Path.cwd())]))


def test_an_unexpected_error_is_one_line_and_its_traceback_in_the_log(
    broken: dict[str, str], home: Path
) -> None:
    done = run("sessions", "list", env=broken)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[0] == "error: LookupError: nobody has foreseen this"
    assert "agentctl doctor" in done.stderr.splitlines()[1]
    log = (home / "agentctl" / "state" / "agentctl.log").read_text().splitlines()
    assert "Traceback" in json.loads(log[-1])["exception"]


def test_an_unexpected_error_is_one_object_with_json(broken: dict[str, str]) -> None:
    done = run("sessions", "list", "--json", env=broken)

    assert done.stdout == ""
    assert json.loads(done.stderr)["error"]["code"] == "unexpected"


def test_debug_shows_the_traceback(broken: dict[str, str]) -> None:
    done = run("sessions", "list", "--debug", env=broken)

    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
@pytest.mark.parametrize(("name", "exit_code"), [("config", 78), ("data", 1), ("state", 1)])
def test_a_folder_that_may_not_be_entered_is_told_and_its_mend(
    name: str, exit_code: int, home: Path
) -> None:
    folder = home / "agentctl" / name
    folder.mkdir(parents=True)
    folder.chmod(0)
    done = run("sessions", "list", env=environment(home), is_superuser=False)
    folder.chmod(0o700)

    assert (done.returncode, done.stdout) == (exit_code, "")
    assert done.stderr == f"error: {folder} may not be entered\n  try: chmod u+rwx {folder}\n"


# Pipes and terminals


@on_posix
@pytest.mark.parametrize("words", ["--help", "ask --help", "config show", "templates list"])
def test_a_reader_that_leaves_is_no_error(words: str, home: Path) -> None:
    line = f"{shlex.join(command(*words.split()))} | head -1"
    done = subprocess.run(
        ["sh", "-c", line], env=environment(home), capture_output=True, check=True
    )

    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""


@on_posix
def test_an_answer_that_nobody_reads_any_more_ends_quietly_and_is_kept(home: Path) -> None:
    gate = Gate(after=1)
    with ScriptedOllama([Reply(("one ", "two ", "three"), gate=gate)]) as server:
        env = with_ollama(home, server, AGENTCTL_MODEL="ollama:scripted:1b")
        process = subprocess.Popen(
            command("ask", "count"),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        assert os.read(process.stdout.fileno(), 100) == b"one "
        process.stdout.close()
        gate.opened.set()
        errors = process.stderr.read()
        process.stderr.close()
        process.wait()
        shown = run("sessions", "show", "--json", env=env)

    assert (process.returncode, errors) == (1, b"")
    answer = json.loads(shown.stdout)["data"]["messages"][-1]
    assert (answer["content"], answer["status"]) == ("one two ", "cancelled")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
@pytest.mark.parametrize("words", ["--version", "--help", "config show", "config show --json"])
def test_a_full_disk_is_told_as_what_it_is(words: str, home: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command(*words.split()),
            env=environment(home),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
        )

    assert done.returncode == 1
    assert "stdout cannot be written: No space left on device" in done.stderr
    assert "Errno" not in done.stderr
    assert len(done.stderr.splitlines()) == (1 if "--json" in words else 2)


@on_posix
@pytest.mark.parametrize("words", ["config show", "--version"])
def test_a_program_may_be_started_without_stdout_and_stderr(words: str, home: Path) -> None:
    line = f"exec {shlex.join(command(*words.split()))} >&- 2>&-"
    done = subprocess.run(["sh", "-c", line], env=environment(home), check=False)
    assert done.returncode == 0


def test_pipes_carry_utf8_whatever_the_locale(home: Path) -> None:
    with ScriptedOllama([Reply("Grüße, 世界")]) as server:
        env = with_ollama(home, server, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
        done = run("ask", "say hello", env=env)

    assert done.stdout == "Grüße, 世界\n"


def test_a_letter_that_is_none_does_not_break_the_output(home: Path) -> None:
    with ScriptedOllama([Reply("half of a pair: \ud83d")]) as server:
        env = environment(home, AGENTCTL_OPENAI_BASE_URL=f"{server.url}/v1")
        done = run("ask", "-m", "openai:scripted:1b", "hello", env=env)

    assert (done.returncode, done.stdout) == (0, "half of a pair: \ufffd\n")


MARKDOWN = "# Title\n\nSome **bold** text.\n\n```python\nx = 1\n```\n"
COLOUR = re.compile(r"\x1b\[[0-9;]*\b[34][0-9]\b")


@on_posix
def test_colours_are_for_terminals_that_want_them(home: Path) -> None:
    with ScriptedOllama([Reply(MARKDOWN, thinking="hm")]) as server:
        coloured = shown_on_a_terminal("ask", "hi", env=with_ollama(home, server))
        plain = shown_on_a_terminal("ask", "hi", env=with_ollama(home, server, NO_COLOR="1"))

    assert COLOUR.search(coloured)
    assert not COLOUR.search(plain)
    assert "# Title" not in plain


@on_posix
@pytest.mark.parametrize(("flags", "term"), [(["--plain"], "xterm"), ([], "dumb")])
def test_plain_output_has_no_escape_sequence_at_all(
    flags: list[str], term: str, home: Path
) -> None:
    with ScriptedOllama([Reply(MARKDOWN, thinking="hm")]) as server:
        shown = shown_on_a_terminal("ask", "hi", *flags, env=with_ollama(home, server, TERM=term))

    assert MARKDOWN in shown.replace("\r\n", "\n")
    assert ESCAPE not in shown


@on_posix
def test_tables_are_drawn_on_a_terminal_and_tab_separated_in_a_pipe(home: Path) -> None:
    env = environment(home)
    drawn = shown_on_a_terminal("config", "show", env=env)
    plain = shown_on_a_terminal("config", "show", "--plain", env=env)
    piped = run("config", "show", env=env).stdout

    assert "────" in drawn
    assert "\tdefault\n" in piped
    assert plain.replace("\r\n", "\n") == piped


@on_posix
def test_what_is_to_be_typed_again_is_never_shortened(home: Path) -> None:
    from tests.support.terminal import Terminal

    with Terminal(command("config", "show"), environment(home), columns=40) as terminal:
        terminal.finish()
        first = [line[:20].strip() for line in terminal.output.decode().splitlines()]

    assert "ollama.host" in first
    assert "downloads.index" in first
    assert not any("…" in each for each in first)


def test_arguments_need_not_be_utf8(home: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("arguments are Unicode there")
    with ScriptedOllama() as server:
        env = with_ollama(home, server)
        done = run(
            "ask", "-s", os.fsdecode(b"caf\xe9"), os.fsdecode(b"what is a caf\xe9?"), env=env
        )
        listed = run("sessions", "search", os.fsdecode(b"caf\xe9"), env=env)

    assert (done.returncode, listed.returncode) == (0, 0)
    assert server.requests[0]["messages"][-1]["content"] == "what is a caf\ufffd?"
