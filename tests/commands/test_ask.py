"""`agentctl ask` as scripts and people use it: a process, pipes, exit codes."""

import json
import os
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.support.cli import TIMEOUT_S, command, environment, run, with_ollama
from tests.support.daemon_client import eventually
from tests.support.ollama_server import (
    Gate,
    Reply,
    ScriptedModel,
    ScriptedOllama,
    error_line,
    hang,
    malformed_line,
    no_done,
    reset,
    status,
)

MODEL = ScriptedModel().name


def test_the_answer_is_all_that_stdout_gets(home: Path) -> None:
    with ScriptedOllama([Reply("Two lines.")]) as server:
        done = run("ask", "How many?", env=with_ollama(home, server))

    assert (done.returncode, done.stdout) == (0, "Two lines.\n")
    assert MODEL in done.stderr


def test_json_is_one_object_of_the_contract(home: Path) -> None:
    with ScriptedOllama([Reply("Two.")]) as server:
        done = run(
            "ask", "--json", "How many lines?", env=with_ollama(home, server), stdin="alpha\nbeta\n"
        )

    document = json.loads(done.stdout)
    assert document["schema_version"] == 1
    assert document["command"] == "ask"
    data = document["data"]
    assert list(data) == [
        "answer",
        "model",
        "backend",
        "session",
        "sources",
        "usage",
        "warnings",
    ]
    assert (data["answer"], data["model"], data["backend"]) == ("Two.", MODEL, "ollama")
    assert list(data["usage"]) == [
        "prompt_tokens",
        "completion_tokens",
        "ttft_ms",
        "total_ms",
        "tokens_per_s",
        "context_window",
        "truncated_tokens",
    ]


def test_piped_input_goes_along_named_and_fenced(home: Path) -> None:
    with ScriptedOllama() as server:
        run("ask", "How many lines?", env=with_ollama(home, server), stdin="alpha\nbeta\n")

    sent = server.requests[0]["messages"][-1]["content"]
    assert sent == "stdin:\n```\nalpha\nbeta\n```\n\nHow many lines?"


def test_piped_input_alone_is_the_question(home: Path) -> None:
    with ScriptedOllama() as server:
        run("ask", env=with_ollama(home, server), stdin="What is a monad?")

    assert server.requests[0]["messages"] == [{"role": "user", "content": "What is a monad?"}]


def test_no_stdin_ignores_the_pipe(home: Path) -> None:
    with ScriptedOllama() as server:
        run("ask", "--no-stdin", "hello", env=with_ollama(home, server), stdin="ignored")

    assert server.requests[0]["messages"] == [{"role": "user", "content": "hello"}]


def test_files_and_folders_go_along_without_what_git_ignores(home: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "build").mkdir(parents=True)
    (project / ".gitignore").write_text("build/\n")
    (project / "build" / "out.txt").write_text("generated")
    (project / "main.py").write_text("print('hi')\n")
    (project / "logo.bin").write_bytes(b"\0\1\2")
    with ScriptedOllama() as server:
        done = run("ask", "-f", str(project), "explain", env=with_ollama(home, server))

    sent = server.requests[0]["messages"][-1]["content"]
    assert "print('hi')" in sent
    assert "generated" not in sent
    assert "1 binary" in done.stderr


def test_a_conversation_goes_on(home: Path) -> None:
    with ScriptedOllama([Reply("Hello Ada."), Reply("Ada.")]) as server:
        env = with_ollama(home, server)
        run("ask", "I am Ada.", env=env)
        run("ask", "-c", "Who am I?", env=env)

    assert [(m["role"], m["content"]) for m in server.requests[1]["messages"]] == [
        ("user", "I am Ada."),
        ("assistant", "Hello Ada."),
        ("user", "Who am I?"),
    ]


def test_a_named_session_is_made_and_found_again(home: Path) -> None:
    with ScriptedOllama([Reply("noted"), Reply("blue")]) as server:
        env = with_ollama(home, server)
        run("ask", "-s", "notes", "My colour is blue.", env=env)
        run("ask", "something else", env=env)
        run("ask", "-s", "notes", "Which colour?", env=env)

    assert len(server.requests[2]["messages"]) == 3


def test_no_log_stores_nothing(home: Path) -> None:
    with ScriptedOllama() as server:
        env = with_ollama(home, server)
        done = run("ask", "--no-log", "--json", "secret", env=env)
        listed = run("sessions", "list", "--json", env=env)

    assert json.loads(done.stdout)["data"]["session"] is None
    assert json.loads(listed.stdout)["data"] == []


def test_thinking_never_reaches_stdout(home: Path) -> None:
    with ScriptedOllama([Reply("42", thinking="let me see")]) as server:
        done = run("ask", "why?", env=with_ollama(home, server))

    assert done.stdout == "42\n"
    assert "let me see" in done.stderr


def test_jsonl_is_the_event_stream(home: Path) -> None:
    with ScriptedOllama([Reply("one two")]) as server:
        done = run("ask", "--jsonl", "count", env=with_ollama(home, server))

    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["type"] == "run_started"
    assert events[-1] == events[-1] | {
        "type": "run_finished",
        "status": "done",
        "answer": "one two",
    }
    assert [event["type"] for event in events].count("run_finished") == 1
    assert "".join(e["text"] for e in events if e["type"] == "text") == "one two"
    assert len({event["run_id"] for event in events}) == 1


def test_extract_prints_the_first_code_block_only(home: Path) -> None:
    answer = "Sure:\n\n```python\nprint(1)\n```\n\n```\nother\n```\n"
    with ScriptedOllama([Reply(answer)]) as server:
        done = run("ask", "-x", "code please", env=with_ollama(home, server))

    assert done.stdout == "print(1)\n"


def test_usage_tells_tokens_speed_window_and_device(home: Path) -> None:
    with ScriptedOllama() as server:
        done = run("ask", "-u", "hello", env=with_ollama(home, server))

    for part in ("tokens", "first after", "tokens/s", "context", "8,192"):
        assert part in done.stderr


def test_dry_run_counts_and_sends_nothing(home: Path) -> None:
    with ScriptedOllama() as server:
        done = run("ask", "--dry-run", "--json", "hello", env=with_ollama(home, server))

    data = json.loads(done.stdout)["data"]
    assert data["messages"] == [{"role": "user", "content": "hello", "images": 0}]
    assert 0 < data["prompt_tokens"] < data["context_window"]
    assert server.requests == []


def test_a_dry_run_is_no_stream_of_events(home: Path) -> None:
    done = run("ask", "--dry-run", "--jsonl", "hello", env=environment(home))

    assert (done.returncode, done.stdout) == (2, "")
    assert json.loads(done.stderr)["error"]["hint"] == "agentctl ask --dry-run --json …"


def test_options_reach_the_model(home: Path) -> None:
    with ScriptedOllama() as server:
        env = with_ollama(home, server)
        run("ask", "-o", "temperature", "0.2", "-o", "num_ctx", "4096", "hello", env=env)

    options = server.requests[0]["options"]
    assert (options["temperature"], options["num_ctx"]) == (0.2, 4096)


def test_a_template_is_saved_and_filled(home: Path) -> None:
    with ScriptedOllama() as server:
        env = with_ollama(home, server)
        saved = run(
            *("ask", "--save", "haiku", "--system", "You are $who.", "A haiku on: $input"), env=env
        )
        run("ask", "-t", "haiku", "-p", "who", "Bashō", "autumn", env=env)

    assert saved.returncode == 0
    assert server.requests[0]["messages"] == [
        {"role": "system", "content": "You are Bashō."},
        {"role": "user", "content": "A haiku on: autumn"},
    ]


def test_a_template_takes_piped_input(home: Path) -> None:
    with ScriptedOllama() as server:
        run("ask", "-t", "summary", env=with_ollama(home, server), stdin="A long text.")

    assert server.requests[0]["messages"][-1]["content"].endswith("A long text.")


def test_an_answer_that_fits_the_schema_passes(home: Path, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "required": ["name"]}')
    with ScriptedOllama([Reply('{"name": "Ada"}')]) as server:
        done = run("ask", "--schema", str(schema), "who?", env=with_ollama(home, server))

    assert done.returncode == 0
    assert server.requests[0]["format"] == {"type": "object", "required": ["name"]}


def test_an_answer_that_does_not_fit_the_schema_says_so(home: Path, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "required": ["name"]}')
    with ScriptedOllama([Reply('{"nom": "Ada"}')]) as server:
        done = run("ask", "--schema", str(schema), "who?", env=with_ollama(home, server))

    assert done.returncode == 1
    assert "'name' is a required property" in done.stderr
    assert done.stdout == '{"nom": "Ada"}\n'


def test_an_image_goes_to_a_vision_model(home: Path, tmp_path: Path) -> None:
    picture = tmp_path / "dot.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 16)
    model = ScriptedModel(capabilities=("completion", "vision"))
    with ScriptedOllama(models=[model]) as server:
        run("ask", "-f", str(picture), "what is it?", env=with_ollama(home, server))

    assert len(server.requests[0]["messages"][-1]["images"]) == 1


@pytest.mark.parametrize(
    ("fault", "exit_code", "kept"),
    [
        (status(404, "model not found"), 69, ""),
        (status(500, "boom"), 1, ""),
        (status(503, "server busy"), 75, ""),
        (hang(), 124, ""),
        (hang(after=1), 124, "one "),
        (reset(), 69, ""),
        (reset(after=1), 1, "one "),
        (malformed_line(after=1), 1, "one "),
        (error_line(after=1), 1, "one "),
        (no_done(after=3), 1, "one two three"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_every_fault_of_ollama_is_a_typed_error_and_what_arrived_is_kept(
    home: Path, fault: object, exit_code: int, kept: str
) -> None:
    with ScriptedOllama([Reply(("one ", "two ", "three"), fault=fault)]) as server:
        env = with_ollama(
            home, server, AGENTCTL_TIMEOUTS_FIRST_TOKEN="0.5", AGENTCTL_TIMEOUTS_IDLE="0.5"
        )
        done = run("ask", "--jsonl", "count", env=env)
        shown = run("sessions", "show", "latest", "--json", env=env)

    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == exit_code
    assert events[-1]["type"] == "run_finished"
    assert events[-1]["status"] in ("failed", "timeout")
    assert events[-1]["answer"] == kept
    error = json.loads(done.stderr)["error"]
    assert error["message"]
    assert error["hint"]
    answer = json.loads(shown.stdout)["data"]["messages"][-1]
    assert (answer["role"], answer["content"]) == ("assistant", kept)
    assert answer["status"] in ("failed", "timeout")


def test_a_kill_keeps_what_was_shown(home: Path) -> None:
    gate = Gate(after=2)
    with ScriptedOllama([Reply(("one ", "two ", "three"), gate=gate)]) as server:
        env = with_ollama(home, server)
        process = subprocess.Popen(
            command("ask", "count"),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        seen = b""
        while len(seen) < len(b"one two "):
            seen += os.read(process.stdout.fileno(), 100)
        process.kill()
        process.wait()
        process.stdout.close()
        shown = run("sessions", "show", "latest", "--json", env=env)

    answer = json.loads(shown.stdout)["data"]["messages"][-1]
    assert answer["content"] == seen.decode() == "one two "
    assert answer["status"] == "partial"
    database = sqlite3.connect(home / "agentctl" / "data" / "agentctl.db")
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_ctrl_c_stops_and_keeps_what_arrived(home: Path) -> None:
    gate = Gate(after=1)
    with ScriptedOllama([Reply(("one ", "two"), gate=gate)]) as server:
        env = with_ollama(home, server)
        process = subprocess.Popen(
            command("ask", "count"), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert os.read(process.stdout.fileno(), 100) == b"one "
        process.send_signal(signal.SIGINT)
        process.communicate()
        shown = run("sessions", "show", "latest", "--json", env=env)

    answer = json.loads(shown.stdout)["data"]["messages"][-1]
    assert process.returncode == 130
    assert (answer["content"], answer["status"]) == ("one ", "cancelled")


def test_programs_get_what_arrived_before_ctrl_c(home: Path) -> None:
    gate = Gate(after=1)
    with ScriptedOllama([Reply(("one ", "two"), gate=gate)]) as server:
        env = with_ollama(home, server)
        process = subprocess.Popen(
            command("ask", "--json", "count"),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert gate.reached.wait(TIMEOUT_S)
        # What has arrived is stored at once, and printed at the end only.
        eventually(
            lambda: run("sessions", "show", "latest", env=env).stdout,
            lambda shown: "one " in shown,
        )
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate()

    data = json.loads(out)["data"]
    assert process.returncode == 130
    assert (data["answer"], data["model"]) == ("one ", MODEL)


def test_the_usage_of_an_answer_that_broke_off_is_an_object_too(home: Path) -> None:
    with ScriptedOllama([Reply(("one ", "two"), fault=hang(after=1))]) as server:
        done = run("ask", "--timeout", "2", "--json", "count", env=with_ollama(home, server))

    usage = json.loads(done.stdout)["data"]["usage"]
    assert (len(usage), set(usage.values())) == (7, {0})


def test_a_timeout_prints_and_stores_what_arrived(home: Path) -> None:
    with ScriptedOllama([Reply(("one ", "two"), fault=hang(after=1))]) as server:
        done = run("ask", "--timeout", "2", "count", env=with_ollama(home, server))

    assert (done.returncode, done.stdout) == (124, "one \n")
    assert "--timeout" in done.stderr


def test_a_conversation_over_the_window_loses_its_oldest_turns_in_the_open(home: Path) -> None:
    long = "word " * 400
    with ScriptedOllama([Reply("ok")]) as server:
        env = with_ollama(home, server, AGENTCTL_OLLAMA_CONTEXT_WINDOW="2048")
        for number in range(4):
            done = run("ask", "-s", "long", "--json", f"{number} {long}", env=env)

    data = json.loads(done.stdout)["data"]
    assert data["usage"]["truncated_tokens"] > 0
    assert "left out" in data["warnings"][0]
    assert server.requests[-1]["messages"][-1]["content"].startswith("3 word")


def test_a_message_that_cannot_fit_is_refused_with_its_size(home: Path) -> None:
    with ScriptedOllama() as server:
        env = with_ollama(home, server, AGENTCTL_OLLAMA_CONTEXT_WINDOW="1024")
        done = run("ask", "explain", env=env, stdin="word " * 5000)

    assert done.returncode == 65
    assert "tokens" in done.stderr
    assert "-o context_window" in done.stderr
    assert server.requests == []


def test_an_empty_prompt_is_wrong_usage(home: Path) -> None:
    done = run("ask", "  ", env=environment(home))

    assert done.returncode == 2
    assert "empty" in done.stderr


def test_a_missing_file_is_named(home: Path) -> None:
    done = run("ask", "-f", "/no/such/file", "what?", env=environment(home))

    assert done.returncode == 66
    assert "/no/such/file" in done.stderr


def test_a_binary_file_is_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"\0\1\2\3")
    done = run("ask", "-f", str(tmp_path / "data.bin"), "what?", env=environment(home))

    assert done.returncode == 65


def test_bytes_that_are_not_utf8_are_decoded_with_a_warning(home: Path) -> None:
    with ScriptedOllama() as server:
        done = run("ask", "what?", env=with_ollama(home, server), stdin=b"caf\xe9")

    assert done.returncode == 0
    assert "UTF-8" in done.stderr
    assert "caf\ufffd" in server.requests[0]["messages"][-1]["content"]


def test_too_much_input_is_refused_by_its_size(home: Path) -> None:
    env = environment(home, AGENTCTL_LIMITS_INPUT_BYTES="1000")
    done = run("ask", "what?", env=env, stdin=b"x" * 1_000_000)

    assert done.returncode == 65
    assert "1,000 bytes" in done.stderr


def test_an_unknown_model_names_the_nearest(home: Path) -> None:
    with ScriptedOllama(models=[ScriptedModel("qwen3:4b")]) as server:
        done = run("ask", "-m", "qwen3:4bb", "hello", env=with_ollama(home, server))

    assert done.returncode == 69
    assert "qwen3:4b" in done.stderr


def test_without_any_model_the_next_command_is_told(home: Path) -> None:
    done = run("ask", "hello", env=environment(home))

    assert done.returncode == 69
    assert "agentctl models pull smollm2-135m" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_of_a_newer_version_is_left_alone(home: Path) -> None:
    with ScriptedOllama() as server:
        env = with_ollama(home, server)
        run("ask", "hello", env=env)
        path = home / "agentctl" / "data" / "agentctl.db"
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        before = path.read_bytes()
        done = run("ask", "hello", env=env)

    assert done.returncode == 1
    assert "newer" in done.stderr
    assert path.read_bytes() == before
