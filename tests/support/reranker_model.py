"""A reranker for tests: the built-in embedding model with a head that looks for one word.

The head's first layer is `tanh(W·v)` of the pooled vector v, its second adds that up
(llama.cpp, `build_pooling` with LLAMA_POOLING_TYPE_RANK). Here W holds a direction in its first
row and is zero elsewhere, so that the score is how far v goes that way.
"""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agentctl.core.backends.gguf import _Cursor
from agentctl.core.embedding.llama_cpp import BUILT_IN_PATH

RANK = 4
ALIGNMENT = 32
F32 = 0


def write_reranker(path: Path, direction: NDArray[np.float32]) -> Path:
    """`direction` is `(dim,)`: pairs whose [CLS] vector goes that way score higher."""
    width = len(direction)
    first = np.zeros((width, width), np.float32)
    first[0] = direction
    second = np.zeros((1, width), np.float32)
    second[0, 0] = 1
    model = BUILT_IN_PATH.read_bytes()
    fields, tensors, weights = _parts(model)
    pooling = b"bert.pooling_type" + struct.pack("<I", 4)
    at = fields.index(pooling) + len(pooling)
    fields = fields[:at] + struct.pack("<I", RANK) + fields[at + 4 :]
    for name, values in ((b"cls.weight", first), (b"cls.output.weight", second)):
        shape = struct.pack("<IQQ", 2, values.shape[1], values.shape[0])
        tensors += struct.pack("<Q", len(name)) + name + shape
        tensors += struct.pack("<IQ", F32, len(weights))
        weights += _aligned(values.tobytes())
    header = bytearray(fields + tensors)
    (count,) = struct.unpack_from("<Q", header, 8)
    struct.pack_into("<Q", header, 8, count + 2)
    path.write_bytes(_aligned(bytes(header)) + weights)
    return path


def _parts(model: bytes) -> tuple[bytes, bytes, bytes]:
    """The fields, the descriptions of the tensors, and the weights."""
    cursor = _Cursor(model)
    tensors, fields = cursor.counts()
    for _ in range(fields):
        cursor.string()
        cursor.value(cursor.number("<I"))
    middle = cursor._at
    for _ in range(tensors):
        cursor.tensor()
    end = cursor._at
    start = -(-end // ALIGNMENT) * ALIGNMENT
    return model[:middle], model[middle:end], _aligned(model[start:])


def _aligned(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)
