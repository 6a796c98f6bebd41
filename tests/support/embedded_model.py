"""GGUF files for tests: a real model where the engine answers, made-up headers elsewhere."""

import os
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from agentctl.core.paths import find_paths

FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
# Kept from before any test changes it: the model lies in the user's own folder.
_ENVIRON = dict(os.environ)


def embedded_model_path() -> Path:
    """The model file. The test fails, with the mend, where there is none."""
    chosen = _ENVIRON.get("AGENTCTL_TEST_MODEL")
    path = Path(chosen) if chosen else find_paths(_ENVIRON).models / FILE_NAME
    if not path.is_file():
        pytest.fail(
            f"no model file {path}: agentctl models pull smollm2-135m, or set AGENTCTL_TEST_MODEL",
            pytrace=False,
        )
    return path


def gguf_header(
    fields: Mapping[str, str | int | list[str]],
    tensors: Mapping[str, tuple[int, ...]] | None = None,
) -> bytes:
    """A GGUF file of version 3 without weights; integers are written as uint32."""
    described = tensors or {}
    data = b"GGUF" + struct.pack("<IQQ", 3, len(described), len(fields))
    for key, value in fields.items():
        data += _string(key) + _typed(value)
    for name, shape in described.items():
        data += _string(name) + struct.pack("<I", len(shape))
        data += struct.pack(f"<{len(shape)}QIQ", *shape, 0, 0)
    return data


def _typed(value: str | int | list[str]) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _string(value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_string, value))


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded
