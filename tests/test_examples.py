"""The examples run as they stand, on a model that replays a script."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import environment

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))
CALL = {"tool_calls": [{"name": "word_length", "arguments": {"word": "lighthouse"}}]}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_calls_its_tool_and_prints_the_answer(
    path: Path, home: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text("\n".join(map(json.dumps, [CALL, {"text": "It has 10 letters."}])))
    env = environment(home, AGENTCTL_MODEL=f"scripted:{script}")

    done = subprocess.run(
        [sys.executable, str(path)], env=env, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "It has 10 letters." in done.stdout
