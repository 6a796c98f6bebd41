"""`agentctl templates`, and `ask --save` and `-t`: questions asked often."""

import json
from pathlib import Path

import pytest

from tests.support.cli import environment, run, with_ollama
from tests.support.ollama_server import Reply, ScriptedOllama


@pytest.fixture
def env(home: Path) -> dict[str, str]:
    return environment(home)


def test_the_users_templates_are_listed_with_the_shipped_ones(env: dict[str, str]) -> None:
    before = run("templates", "list", env=env).stdout.splitlines()
    run("ask", "--save", "haiku", "A haiku on $input", env=env)
    after = json.loads(run("templates", "list", "--json", env=env).stdout)["data"]

    assert {"commit", "explain", "summary"} <= set(before)
    assert after == sorted([*before, "haiku"])


def test_a_saved_template_is_shown_as_it_was_saved(env: dict[str, str], tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": ["string", "null"]}')
    saved = run(
        *("ask", "--save", "mine", "-m", "qwen3:4b", "-o", "temperature", "0.2", "-x"),
        *("--system", "Be brief.", "--schema", str(schema), "Say: $input"),
        env=env,
    )
    shown = json.loads(run("templates", "show", "mine", "--json", env=env).stdout)["data"]

    assert (saved.returncode, saved.stdout) == (0, "")
    assert "agentctl ask -t mine" in saved.stderr
    assert shown == {
        "prompt": "Say: $input",
        "system": "Be brief.",
        "model": "qwen3:4b",
        "options": {"temperature": "0.2"},
        "defaults": {},
        "schema": {"type": ["string", "null"]},
        "extract": True,
    }


def test_saving_a_template_tells_programs_where_it_is(env: dict[str, str]) -> None:
    saved = json.loads(run("ask", "--save", "mine", "hi", "--json", env=env).stdout)["data"]

    assert saved["name"] == "mine"
    assert Path(saved["path"]).is_file()


def test_a_template_takes_no_name_that_is_taken(env: dict[str, str]) -> None:
    run("ask", "--save", "mine", "first", env=env)
    again = run("ask", "--save", "mine", "second", env=env)
    hides = run("ask", "--save", "summary", "in one word", env=env)

    assert (again.returncode, hides.returncode) == (2, 0)
    assert "there is a template mine already" in again.stderr
    shown = run("templates", "show", "mine", "--json", env=env)
    assert json.loads(shown.stdout)["data"]["prompt"] == "first"


def test_a_saved_template_is_used_with_all_it_has(home: Path) -> None:
    with ScriptedOllama([Reply("Sure:\n\n```\ncode\n```\n")]) as server:
        env = with_ollama(home, server)
        run("ask", "--save", "code", "-x", "-o", "seed", "7", "Code for $input", env=env)
        done = run("ask", "-t", "code", "sorting", env=env)

    assert done.stdout == "code\n"
    assert server.requests[0]["messages"][-1]["content"] == "Code for sorting"
    assert server.requests[0]["options"]["seed"] == 7


def test_what_is_given_beside_a_template_wins(home: Path) -> None:
    with ScriptedOllama() as server:
        env = with_ollama(home, server)
        run("ask", "--save", "x", "--system", "One.", "-o", "seed", "1", "$input", env=env)
        run("ask", "-t", "x", "--system", "Two.", "-o", "seed", "2", "hi", env=env)

    assert server.requests[0]["messages"][0]["content"] == "Two."
    assert server.requests[0]["options"]["seed"] == 2


def test_a_template_of_the_user_hides_the_shipped_one(env: dict[str, str]) -> None:
    run("ask", "--save", "commit", "My own way: $input", env=env)
    shown = run("templates", "show", "commit", env=env).stdout

    assert shown == "prompt\tMy own way: $input\n"


def test_a_missing_parameter_is_named(home: Path) -> None:
    with ScriptedOllama() as server:
        env = with_ollama(home, server)
        run("ask", "--save", "x", "For $whom: $input", env=env)
        done = run("ask", "-t", "x", "hi", env=env)

    assert done.returncode == 2
    assert "-p whom VALUE" in done.stderr
    assert server.requests == []


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("ask", "--save", "../x", "hi"), 2, "is no template name"),
        (("ask", "--save", "x", "it costs $5"), 2, "write $$ for $"),
        (("ask", "--save", "x", "-o", "seed", "seven", "hi"), 2, "seed"),
        (("ask", "-p", "a", "b", "hi"), 2, "-p needs a template"),
        (("ask", "-t", "nothing", "hi"), 1, "no template nothing; there are: commit"),
        (("templates", "show", "../../config"), 2, "is no template name"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: tuple[str, ...], exit_code: int, message: str, env: dict[str, str], home: Path
) -> None:
    done = run(*arguments, env=env)

    assert (done.returncode, done.stdout) == (exit_code, "")
    assert message in done.stderr
    assert not (home / "agentctl" / "config" / "templates").exists()
