"""What every test gets: a home of its own, and no network."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent / "support" / "offline"))
import sitecustomize  # noqa: F401 - its import is its effect

sys.path.pop(0)

# How long an example takes says how busy the machine is, not whether the code is right; and the
# same examples each time, so that a run fails for what was changed.
settings.register_profile(
    "agentctl",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("agentctl")


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the user's configuration reaches a test, nor the other way round."""
    for name in ("OLLAMA_HOST", "OPENAI_API_KEY", "NO_COLOR", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AGENTCTL_HOME", str(tmp_path / "home"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder to stand for the user's home."""
    folder = tmp_path / "user"
    folder.mkdir()
    return folder
