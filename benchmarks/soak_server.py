"""The `ollama` of a soak: `python -m benchmarks.soak_server serve`, with moods.

The file that `SOAK_MOOD` names says how it feels at this moment; an empty or missing one is a
good mood. It is started as the real one is: by the daemon, which finds it on its PATH.
"""

import ctypes
import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tests.support import ollama_server
from tests.support.ollama_script import (
    Call,
    Fault,
    Json,
    Reply,
    ScriptedModel,
    error_line,
    hang,
    malformed_line,
    no_done,
    reset,
    status,
)
from tests.support.ollama_server import ScriptedOllama

VARIABLE = "SOAK_MOOD"
MODEL, HUGE_MODEL, ENDLESS_MODEL = "soak:1b", "soak-huge:70b", "soak-endless:1b"

Mood: TypeAlias = Literal[
    "", "absent", "silent", "hangs", "cuts", "resets", "garbage", "errors", "numbers", "no memory"
]
"""`absent` ends at its start; `silent` answers nothing at all; the others answer chats wrongly."""

_FAULTS: dict[str, Fault] = {
    "hangs": hang(after=1),
    "cuts": no_done(after=1),
    "resets": reset(after=1),
    "garbage": malformed_line(after=1),
    "errors": error_line("the engine stopped", after=1),
    "no memory": status(500, "model requires more system memory (40.0 GiB) than is available"),
}
_WORDS = ("The lamp ", "is lit ", "at dusk.")
_WRONG_NUMBERS: Json = {
    "prompt_eval_count": -7,
    "eval_count": 10**30,
    "eval_duration": 0,
    "total_duration": "soon",
    "prompt_eval_duration": None,
}


class MoodyOllama(ScriptedOllama):
    """Answers by what is asked, so that it needs to remember nothing."""

    def __init__(self, port: int, mood: Path) -> None:
        models = [ScriptedModel(name) for name in (MODEL, HUGE_MODEL, ENDLESS_MODEL)]
        super().__init__(models=models, port=port)
        self._mood = mood

    @property
    def mood(self) -> str:
        with suppress(OSError):
            return self._mood.read_text().strip()
        return ""

    def next_reply(self, request: Json) -> Reply:
        self.calls.clear()
        model = request.get("model")
        mood = "no memory" if model == HUGE_MODEL else self.mood
        fault = hang(after=1) if model == ENDLESS_MODEL else _FAULTS.get(mood)
        calls = () if fault else _tool_calls(request)
        text = () if calls else _WORDS
        return Reply(text=text, tool_calls=calls, fault=fault, piece_delay_s=0.03)


def _tool_calls(request: Json) -> tuple[Call, ...]:
    """An agent that was asked to write or to look does so, once."""
    messages = request.get("messages", [])
    said = [str(each.get("content", "")) for each in messages if each.get("role") == "user"]
    if not request.get("tools") or any(each.get("role") == "tool" for each in messages):
        return ()
    if any("Write" in each for each in said):
        return (Call("write_file", {"path": "log.txt", "content": "lit\n"}),)
    return (Call("list_files", {}),)


class _Handler(ollama_server._Handler):
    """Silence reaches every route, wrong numbers the last line of a chat."""

    script: MoodyOllama

    def _route(self) -> None:
        if self.script.mood == "silent":
            while self.script.mood == "silent" and not self.script.closing.is_set():
                time.sleep(0.05)
            self.close_connection = True
            return
        super()._route()

    def _send(self, piece: bytes) -> None:
        if self.script.mood == "numbers" and b'"done": true' in piece:
            piece = json.dumps(json.loads(piece) | _WRONG_NUMBERS).encode() + b"\n"
        super()._send(piece)


def _take_name(name: str) -> None:
    """The process's name, by which an Ollama is known."""
    if sys.platform == "linux":
        set_name = 15
        ctypes.CDLL(None).prctl(set_name, name.encode(), 0, 0, 0)


def main() -> int:
    if sys.argv[1:] != ["serve"]:
        return 2
    _take_name("ollama")
    mood = Path(os.environ[VARIABLE])
    port = int(os.environ["OLLAMA_HOST"].rpartition(":")[2])
    with suppress(OSError):
        if mood.read_text().strip() == "absent":
            print("no library found", flush=True)
            return 3
    ollama_server._Handler = _Handler  # type: ignore[misc]  # its own server makes handlers of it
    server: Any
    with MoodyOllama(port, mood) as server, suppress(KeyboardInterrupt):
        server.closing.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
