"""Runs of agents as a user starts them, with a model that follows a script."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.cli import environment, run

Json = dict[str, Any]  # Any: JSON


def call(name: str, **arguments: object) -> Json:
    """A tool call in a reply."""
    return {"name": name, "arguments": arguments}


WRITE = call("write_file", path="out.txt", content="hello\n")


@dataclass(frozen=True)
class Desk:
    """A folder in which agents work, and what their model says.

    Whoever resumes a run opens the script anew: `says` then gives what is left to say.
    """

    env: dict[str, str]
    folder: Path

    @classmethod
    def make(cls, home: Path, folder: Path) -> "Desk":
        folder.mkdir(exist_ok=True)
        env = environment(home)
        return cls({**env, "AGENTCTL_MODEL": f"scripted:{folder / 'script.jsonl'}"}, folder)

    def says(self, *replies: str | Json) -> None:
        """Texts, or replies of the scripted backend."""
        lines = [
            json.dumps({"text": reply} if isinstance(reply, str) else reply) for reply in replies
        ]
        (self.folder / "script.jsonl").write_text("\n".join(lines))

    def run(
        self, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return run(*arguments, env=env or self.env, stdin=stdin, cwd=self.folder)

    def data(self, *arguments: str) -> Any:  # Any: JSON
        """The data of a command with `--json`, however it ends."""
        return json.loads(self.run(*arguments, "--json").stdout)["data"]

    def waiting(self) -> str:
        """The id of a run that waits for the approval of a write_file."""
        self.says({"tool_calls": [WRITE]})
        done = self.run("agents", "run", "assistant", "Write it.", "--json")
        assert done.returncode == 77, done.stderr
        return str(json.loads(done.stdout)["data"]["run_id"])
