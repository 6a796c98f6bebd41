"""The embedded engine through us, against xllamacpp called bare, in turn on the same model."""

import asyncio
import json
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

from agentctl.core.backends.base import ChatRequest, Done, Message, ModelOptions
from agentctl.core.backends.llama_cpp import LlamaCppModel
from benchmarks.equipment import Equipment
from benchmarks.rows import Row, at_least
from tests.support.embedded_model import embedded_model_path

PROMPT = "Write a long story about a lighthouse."
WINDOW, TOKENS, RUNS = 2048, 200, 7
THREADS = max(1, (os.cpu_count() or 1) - 1)


def rows(_: Equipment) -> Iterator[Row]:
    path = embedded_model_path()
    model = LlamaCppModel(path, "m", context_window=WINDOW, threads=THREADS, gpu_layers=0)
    bare = _load_bare(path)
    asyncio.run(_ours(model))
    _bare(bare)
    pairs = [(asyncio.run(_ours(model)), _bare(bare)) for _ in range(RUNS)]
    ratio = statistics.median(one / other for one, other in pairs)
    speed = statistics.median(one for one, _ in pairs)
    yield Row(
        name="embedded engine through us / `xllamacpp` bare, tokens per second",
        figure=f"{ratio:.3f} ({speed:.0f} tokens/s)",
        bars=(at_least(0.95, ratio),),
    )


async def _ours(model: LlamaCppModel) -> float:
    options = ModelOptions(max_tokens=TOKENS, temperature=0.0)
    request = ChatRequest(messages=(Message("user", PROMPT),), options=options)
    started = time.perf_counter()
    tokens = 0
    async with aclosing(model.stream(request)) as deltas:
        async for delta in deltas:
            if isinstance(delta, Done):
                tokens = delta.completion_tokens
    return tokens / (time.perf_counter() - started)


def _load_bare(path: Path):  # type: ignore[no-untyped-def]  # xllamacpp has no types
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = WINDOW
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = THREADS
    params.verbosity = -1
    return xllamacpp.Server(params)


def _bare(server) -> float:  # type: ignore[no-untyped-def]  # xllamacpp has no types
    tokens = 0

    def on_chunk(chunk: str) -> bool:
        nonlocal tokens
        tokens = json.loads(chunk).get("usage", {}).get("completion_tokens", tokens)
        return False

    body = {
        "messages": [{"role": "user", "content": PROMPT}],
        "max_tokens": TOKENS,
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    started = time.perf_counter()
    server.handle_chat_completions(json.dumps(body), on_chunk)
    return tokens / (time.perf_counter() - started)
