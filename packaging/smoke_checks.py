"""What `smoke.py` checks, in this order: each leaves behind what later ones need."""

import http.client
import http.cookiejar
import json
import re
import shutil
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from smoke_files import docx, pdf
from smoke_program import PATIENCE_S, Failed, Program, Skipped, expect, find, read_until

MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
_NOTE = "# Passport\n\nThe passport office opens at nine on Tuesdays.\n"


def check_version(program: Program) -> str:
    """The first start: a single file unpacks itself."""
    version = program.version()
    expect(re.fullmatch(r"agentctl \d+\.\d+\S*", version), version)
    return version


def check_second_start(program: Program) -> str:
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        program.version()
        times.append(time.perf_counter() - begin)
    return f"median of {sorted(times)[2] * 1000:.0f} ms"


def check_help(program: Program) -> None:
    told = program.run("--help")
    expect("ask" in told and "daemon" in told, told)


def check_wrong_usage(program: Program) -> None:
    program.run("ask", "--nonsense", exit_code=2)
    program.run("ask", "-f", "missing.txt", "Hello?", exit_code=66)


def check_settings(program: Program) -> None:
    expect("ollama" in program.run("config", "show"), "no settings")


def check_completion(program: Program) -> None:
    for shell in ("bash", "powershell"):
        expect("agentctl" in program.run("completion", shell), f"no script for {shell}")


def pull_model(program: Program) -> str | None:
    if program.model is None:
        program.run("models", "pull", "smollm2-135m")
        return None
    models = program.home / "data" / "models"
    models.mkdir(parents=True, mode=0o700)
    for folder in (program.home, program.home / "data"):
        folder.chmod(0o700)
    shutil.copyfile(program.model, models / MODEL)
    (models / MODEL).chmod(0o600)
    return "put in place"


def check_doctor(program: Program) -> str:
    report = program.data("doctor")
    problems = [each for each in report["checks"] if each["status"] == "error"]
    expect(report["ok"] and not problems, problems)
    return f"{len(report['checks'])} checks"


def check_ask(program: Program) -> str:
    answer = program.data("ask", "--no-stdin", "What is the capital of France?")
    expect(answer["answer"].strip() and answer["backend"] == "embedded", answer)
    return f"{answer['usage']['tokens_per_s']} tokens/s: {answer['answer'].strip()[:80]}"


def check_ingest(program: Program) -> str:
    documents = program.folder / "documents"
    documents.mkdir()
    (documents / "passport.md").write_text(_NOTE, encoding="utf-8")
    (documents / "harbour.pdf").write_bytes(pdf("The harbour master keeps the tide tables."))
    (documents / "orchard.docx").write_bytes(docx("Pears ripen in the orchard in September."))
    report = program.data("ingest", "--no-stdin", str(documents))
    expect(report["added"] == 3 and not report["failed"], report)
    return f"{report['chunks']} chunks"


def check_search(program: Program) -> None:
    for question, name in (
        ("When does the passport office open?", "passport.md"),
        ("tide tables", "harbour.pdf"),
        ("when do pears ripen", "orchard.docx"),
    ):
        hits = program.data("search", question)["hits"]
        expect(hits and hits[0]["path"].endswith(name), hits)


def check_grounded_answer(program: Program) -> None:
    program.says("It opens at nine [1].")
    told = program.data("ask", "-k", "--no-stdin", "When does it open?", is_scripted=True)
    expect("nine" in told["answer"] and told["sources"], told)


def _call(name: str, **arguments: object) -> dict[str, Any]:
    return {"tool_calls": [{"name": name, "arguments": arguments}]}


def check_graph_agent(program: Program) -> str:
    """Its search for a regular expression runs in a process of its own."""
    (program.folder / "list.md").write_text("buy milk\n", encoding="utf-8")
    program.says(
        _call("read_file", path="list.md"),
        _call("search_files", text="m.lk", is_regex=True),
        "Buy milk.",
    )
    told = _agent(program, "assistant", "What is on the list?")
    results = [str(each["result"]) for each in told["tool_calls"]]
    expect(told["answer"] == "Buy milk." and all("milk" in each for each in results), told)
    return f"{len(results)} tools called"


def check_code_agent(program: Program) -> str | None:
    checks = {each["name"]: each for each in program.data("doctor")["checks"]}
    if checks["sandbox"]["status"] != "ok":
        raise Skipped(checks["sandbox"]["detail"])
    program.says(json.dumps({"thought": "I compute.", "code": "final_answer(sum(range(10)) - 3)"}))
    told = _agent(program, "coder", "What is it?")
    expect("42" in told["answer"], told)
    return str(checks["sandbox"]["detail"])


def check_team(program: Program) -> None:
    program.says("1. Count the lines.", "There are two.", "APPROVED")
    expect(_agent(program, "team", "Count the lines.")["status"] == "done", "not done")


def _agent(program: Program, name: str, task: str) -> Any:  # Any: JSON
    run = ("agents", "run", name, task, "--approve", "all", "--no-stdin")
    return program.data(*run, is_scripted=True)


def check_tasks(program: Program) -> None:
    program.says("It is noted.")
    model = f"scripted:{program.script}"
    program.run("tasks", "add", "note", "--every", "10h", "--ask", "Note it.", "-m", model)
    program.run("tasks", "run", "note")
    (run,) = program.data("tasks", "history", "note")
    expect(run["status"] == "done", run)


def check_backup(program: Program) -> None:
    if "backup" not in program.run("--help"):
        raise Skipped("this version has no backup")
    archive = program.folder / "saved.zip"
    program.run("backup", str(archive))
    program.run("docs", "remove", "--yes", "harbour.pdf", exit_code=0)
    program.run("restore", str(archive), "--yes")
    hits = program.data("search", "tide tables")["hits"]
    expect(hits and hits[0]["path"].endswith("harbour.pdf"), hits)


def check_daemon(program: Program) -> str:
    address = program.data("daemon", "start")
    state = program.data("daemon", "status")
    expect(state["pid"] == address["pid"], state)
    # Its starter has ended, and a moment later it still runs.
    time.sleep(1)
    expect(program.data("daemon", "status")["pid"] == address["pid"], "it has ended")
    expect(program.data("search", "tide tables")["hits"], "it finds nothing")
    if sys.platform != "win32":
        secret = program.home / "state" / "daemon.json"
        expect(stat.S_IMODE(secret.stat().st_mode) == 0o600, "others may read its token")
    expect(program.data("daemon", "stop")["was_running"], "it did not run")
    expect(program.data("daemon", "status")["status"] == "stopped", "it goes on")
    return f"up for {state['uptime_s']:.1f} s when first asked"


def check_monitor(program: Program) -> None:
    expect(program.data("monitor", "--once")["memory"]["total"] > 0, "no memory")


def check_serve(program: Program) -> None:
    with program.started("serve", "--port", "0", "--plain") as process:
        told = read_until(process.stdout, r"token: \S+")
        url, token = find(r"http://\S+?(?=[ ;\n])", told), find(r"(?<=token: )\S+", told)
        expect(_status(f"{url}/v1/models") == 401, "it lets everybody in")
        expect(_status(f"{url}/v1/models", f"Bearer {token}") == 200, "it does not answer")


def _status(url: str, authorization: str = "") -> int:
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        headers = {"Authorization": authorization} if authorization else {}
        connection.request("GET", f"/{path}", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def check_mcp(program: Program) -> str:
    client = {"name": "smoke", "version": "1"}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
    messages = [
        {"id": 1, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/list"},
    ]
    lines = "".join(json.dumps({"jsonrpc": "2.0", **each}) + "\n" for each in messages)
    with program.started("mcp") as process:
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:
            raise Failed("no pipes")
        stdin.write(lines.encode())
        stdin.flush()
        told = read_until(stdout, r'"id":\s*2\b')
        stdin.close()
        process.wait(60)
    answer = next(json.loads(line) for line in told.splitlines() if re.search(r'"id":\s*2\b', line))
    names = {each["name"] for each in answer["result"]["tools"]}
    expect({"search", "ask", "status"} <= names, names)
    return f"{len(names)} tools"


def check_dashboard(program: Program) -> str:
    if sys.platform == "win32":
        raise Skipped("a pseudo terminal of Windows cannot be had from the standard library")
    from smoke_terminal import Terminal

    begin = time.perf_counter()
    with Terminal([str(program.path), "tui"], program.environ, program.folder) as terminal:
        terminal.wait_for(b"Knowledge", PATIENCE_S)
        painted = time.perf_counter() - begin
        for key in (b"\x1b", b"\x11"):
            time.sleep(0.5)
            terminal.type(key)
        expect(terminal.ended(30) == 0, terminal.text()[-500:])
    expect("Traceback" not in terminal.text(), terminal.text())
    return f"first paint after {painted:.2f} s"


def check_web_dashboard(program: Program) -> None:
    with program.started("tui", "--web") as process:
        url = find(r"http://\S+", read_until(process.stdout, r"http://\S+\s"))
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        with urllib.request.build_opener(jar).open(url, timeout=60) as got:
            page = got.read().decode()
    expect("<title>agentctl</title>" in page, page)


def check_rights(program: Program) -> str:
    if sys.platform == "win32":
        raise Skipped("on Windows a home is its user's by what it inherits")
    expect(stat.S_IMODE(program.home.stat().st_mode) == 0o700, "others may enter the home")
    files = [each for each in program.home.rglob("*") if not each.is_symlink()]
    own = [each for each in files if program.home / "cache" / "program" not in each.parents]
    open_folders = [each for each in own if each.is_dir() and each.stat().st_mode & 0o077]
    expect(not open_folders, open_folders)
    return f"{len(files)} files and folders"


def left_running(program: Program) -> None:
    """By what processes have in their environment; on Windows, by what cannot be renamed."""
    with suppress(Failed):
        program.run("daemon", "stop")
    if sys.platform == "win32":
        moved = program.home.with_name("moved")
        program.home.rename(moved)
        moved.rename(program.home)
        return
    home = f"AGENTCTL_HOME={program.home}"
    found = subprocess.run(["ps", "axeww"], capture_output=True, check=True)
    lines = found.stdout.decode(errors="replace").splitlines()
    running = [line[:200] for line in lines if home in line]
    expect(not running, running)


Check = Callable[[Program], str | None]
CHECKS: Sequence[tuple[str, Check]] = (
    ("--version, the first start", check_version),
    ("--version, the second start", check_second_start),
    ("--help", check_help),
    ("exit codes of wrong usage", check_wrong_usage),
    ("config show", check_settings),
    ("completion", check_completion),
    ("models pull", pull_model),
    ("doctor", check_doctor),
    ("ask, with the embedded model", check_ask),
    ("ingest: Markdown, PDF, Word", check_ingest),
    ("search", check_search),
    ("ask -k", check_grounded_answer),
    ("agents run: graph", check_graph_agent),
    ("agents run: code, in the sandbox", check_code_agent),
    ("agents run: team", check_team),
    ("tasks: add, run, history", check_tasks),
    ("backup, restore", check_backup),
    ("daemon: start, status, stop", check_daemon),
    ("monitor --once", check_monitor),
    ("serve", check_serve),
    ("mcp", check_mcp),
    ("tui, in a terminal", check_dashboard),
    ("tui --web", check_web_dashboard),
    ("the home is its owner's", check_rights),
)
