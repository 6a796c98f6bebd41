"""The program's entry where it is frozen."""

import io
import json
import subprocess
import sys

import pytest

from agentctl.__main__ import clean_environment
from agentctl.core.agents.tools.line_matcher import SWITCH
from agentctl.core.knowledge.loaders.frames import read_frame, write_frame


def test_children_see_the_users_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_MEIPASS", "/opt/agentctl/_internal", raising=False)
    environ = {
        "PATH": "/bin",
        "LD_LIBRARY_PATH": "/opt/agentctl/_internal",
        "LD_LIBRARY_PATH_ORIG": "/opt/cuda/lib",
        "_PYI_ARCHIVE_FILE": "/opt/agentctl/agentctl",
    }

    clean_environment(environ)

    assert environ == {"PATH": "/bin", "LD_LIBRARY_PATH": "/opt/cuda/lib"}


def test_a_path_of_libraries_that_was_ours_alone_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_MEIPASS", "/opt/agentctl/_internal", raising=False)
    environ = {"LD_LIBRARY_PATH": "/opt/agentctl/_internal"}

    clean_environment(environ)

    assert environ == {}


def test_an_environment_that_is_the_users_stays() -> None:
    environ = {"LD_LIBRARY_PATH": "/opt/cuda/lib", "PATH": "/bin"}

    clean_environment(environ)

    assert environ == {"LD_LIBRARY_PATH": "/opt/cuda/lib", "PATH": "/bin"}


def test_a_frozen_program_matches_lines_by_a_word_of_its_own() -> None:
    request = io.BytesIO()
    for text in ("m.lk", "buy\nmilk"):
        write_frame(request, text.encode())

    done = subprocess.run(
        [sys.executable, "-m", "agentctl", SWITCH, "20"],
        input=request.getvalue(),
        capture_output=True,
        check=True,
    )

    answer = io.BytesIO(done.stdout)
    assert json.loads(read_frame(answer, 1_000) or b"") == [[1, 0]]
