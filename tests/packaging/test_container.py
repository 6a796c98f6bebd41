"""The container's recipe, as far as it can be seen without building it."""

import json
import re
from dataclasses import fields
from pathlib import Path

from agentctl.daemon.hub import DaemonState
from tests.support.cli import environment, run

ROOT = Path(__file__).parents[2]


def steps() -> list[tuple[str, str]]:
    """The instructions in their order, each with its words."""
    text = (ROOT / "packaging" / "Containerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (word, " ".join(rest.split()))
        for word, _, rest in (line.partition(" ") for line in joined.splitlines())
    ]


def words_of(instruction: str) -> list[str]:
    return [words for each, words in steps() if each == instruction]


def test_what_is_copied_is_there() -> None:
    copied = [words.split()[:-1] for words in words_of("COPY") if not words.startswith("--from")]

    assert copied
    for names in copied:
        for name in names:
            assert (ROOT / name).exists(), name


def test_all_that_the_package_is_made_of_is_copied() -> None:
    copied = " ".join(words_of("COPY")).split()

    assert {"pyproject.toml", "README.md", "LICENSE", "agentctl", "config"} <= set(copied)


def test_it_does_not_run_as_root() -> None:
    users = words_of("USER")

    assert users == ["agentctl"]
    assert any("useradd" in words and "10001 agentctl" in words for words in words_of("RUN"))
    kinds = [each for each, _ in steps()]
    assert kinds.index("USER") < kinds.index("CMD")


def test_what_it_stores_is_in_a_volume() -> None:
    (volume,) = words_of("VOLUME")

    assert f"AGENTCTL_HOME={volume}" in words_of("ENV")[0]


def test_it_listens_at_the_loopback_address_unless_told_otherwise() -> None:
    command = json.loads(words_of("CMD")[0])

    assert command[:2] == ["agentctl", "serve"]
    assert command[command.index("--host") + 1] == "127.0.0.1"


def test_its_health_is_asked_by_a_real_command(home: Path) -> None:
    (words,) = words_of("HEALTHCHECK")
    check = re.search(r"CMD agentctl (.*) \| grep -q '(.*)'$", words)
    assert check is not None

    done = run(*check[1].split(), env=environment(home))

    assert done.returncode == 0
    assert json.loads(done.stdout)["data"] == {"status": "stopped"}
    assert check[2] not in done.stdout
    assert check[2].strip('"') in {each.name for each in fields(DaemonState)}
