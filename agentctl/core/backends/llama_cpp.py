"""The embedded engine: llama.cpp in this process, by way of `xllamacpp`.

The engine is built as a server. It opens a loopback listener whatever it is told, so that is
locked with a random key; answers do not pass it, they come through a callback in memory.
"""

import json
import os
import secrets
import threading
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agentctl.core.backends.base import (
    Capability,
    ChatRequest,
    Delta,
    Message,
    ModelInfo,
    ModelOptions,
)
from agentctl.core.backends.engine import import_engine
from agentctl.core.backends.gguf import GgufHeader, read_gguf_header
from agentctl.core.backends.openai_format import AnswerParser, encode_request
from agentctl.core.backends.threads import run_in_thread, stream_from_thread
from agentctl.core.errors import BackendFailed, InputUnreadable, ModelIncapable
from agentctl.core.jsontypes import JsonObject

if TYPE_CHECKING:
    from xllamacpp import CommonParams, Server

_WIDEN_HINT = "send less, or raise the window: agentctl config set embedded.context_window {n}"
_WIDEST_HINT = "send less, or take a model with a larger window: agentctl models list"
# The engine lays its window out in blocks of so many tokens, and rounds up.
_WINDOW_BLOCK = 256
# Prompts are read in batches, between which the engine can be stopped.
_BATCH_TOKENS = 512
# Memory for the state of earlier conversations; the engine's own limit is 8 GB.
_CACHE_MIB = 512
_COUNT_TIMEOUT_S = 60.0
# The engine's own is none, and SmolLM2-135M then ends half of its answers only with the window.
# Ollama's default.
_REPEAT_PENALTY = 1.1
# Of models below this many parameters an answer may have so many tokens, unless more is asked for.
_SMALL_MODEL = 1_000_000_000
_SMALL_MODEL_TOKENS = 1000
# At the engine's own 0.8 it says what comes to its mind: half of the times Paris is not in France.
_SMALL_MODEL_TEMPERATURE, _SMALL_MODEL_TOP_P = 0.1, 0.9
# Where nobody says anything else: by what its own template says then, it answers in French that
# Paris is a star.
_SMALL_MODEL_SYSTEM = Message(
    "system", "You are a helpful assistant. You answer correctly and briefly."
)


class LlamaCppModel:
    """A `ChatModel` on a GGUF file, loaded at its first use and kept until `close`.

    Streams at once queue: there is one engine, and it answers one request at a time. While it
    loads, it holds the whole process, Ctrl+C included.

    Args:
        path: the model file.
        name: what the user calls it.
        context_window: tokens, rounded up to a multiple of 256, but never more than the model
            was trained for. A request's own `context_window` loads the model anew.
        threads: to compute with; 0 for one fewer than there are cores.
        gpu_layers: layers to put on the GPU; -1 for as many as fit.
    """

    def __init__(
        self, path: Path, name: str, *, context_window: int, threads: int, gpu_layers: int
    ) -> None:
        self._path = path
        self._name = name
        self._context_window = context_window
        self._threads = threads or max(1, count_cores() - 1)
        self._gpu_layers = gpu_layers
        self._header: GgufHeader | None = None
        self._engine: _Engine | None = None
        self._device: str | None = None
        self._loading = threading.Lock()
        self._answering = threading.Lock()

    async def info(self) -> ModelInfo:
        """Reads the file's header only.

        Raises:
            ModelNotFound: the file is not there.
            InputUnreadable: it is no GGUF file.
        """
        header = await run_in_thread(self._read_header)
        window = _fit_window(self._context_window, header)
        return ModelInfo(
            name=self._name,
            backend="embedded",
            context_window=window,
            max_context_window=header.context_length or window,
            capabilities=_capabilities(header),
            parameters=header.parameters / 1e9 or None,
        )

    async def count_tokens(self, request: ChatRequest) -> int:
        """Exact: the engine fills in the model's template and counts."""

        def count() -> int:
            body = self._encode(request)
            with self._loading:
                engine = self._engine or self._load(self._window(request))
                return engine.count_tokens(body)

        return await run_in_thread(count)

    def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        stopped = threading.Event()

        def produce(emit: Callable[[Delta], None]) -> None:
            body = self._encode(request)
            window = self._window(request)
            parser = AnswerParser(0, self._overflow_hint(window))
            while not self._answering.acquire(timeout=0.1):
                if stopped.is_set():
                    return
            try:
                with self._loading:
                    engine = self._load(window)
                engine.answer(body, parser, emit, stopped)
            finally:
                self._answering.release()

        return stream_from_thread(produce, stopped.set)

    async def device(self) -> str | None:
        if self._device is None:
            self._device = await run_in_thread(lambda: _find_device(self._gpu_layers))
        return self._device

    async def close(self) -> None:
        """Frees the engine: at once, or when the answer that it is giving ends."""

        def unload() -> None:
            with self._loading:
                self._unload()

        await run_in_thread(unload)

    def _read_header(self) -> GgufHeader:
        if self._header is None:
            self._header = read_gguf_header(self._path)
        return self._header

    def _encode(self, request: ChatRequest) -> JsonObject:
        self._check_capable(request)
        messages = request.messages
        if self._is_small and all(message.role != "system" for message in messages):
            messages = (_SMALL_MODEL_SYSTEM, *messages)
        return encode_request(replace(request, messages=messages, options=self._bounded(request)))

    @property
    def _is_small(self) -> bool:
        return self._read_header().parameters < _SMALL_MODEL

    def _bounded(self, request: ChatRequest) -> ModelOptions:
        """The request's options, and what keeps a small model to the point, once and not for ever.

        Where a schema or tools bind the answer, no penalty: it would wear down the JSON.
        """
        options = request.options
        is_free = request.schema is None and not request.tools
        if options.repeat_penalty is None and is_free:
            options = replace(options, repeat_penalty=_REPEAT_PENALTY)
        if self._is_small:
            if options.max_tokens is None:
                options = replace(options, max_tokens=_SMALL_MODEL_TOKENS)
            if options.temperature is None and options.top_p is None:
                options = replace(
                    options, temperature=_SMALL_MODEL_TEMPERATURE, top_p=_SMALL_MODEL_TOP_P
                )
        return options

    def _check_capable(self, request: ChatRequest) -> None:
        capabilities = _capabilities(self._read_header())
        problem = ""
        if "embedding" in capabilities:
            problem = "turns text into vectors, it cannot answer"
        elif any(message.images for message in request.messages):
            problem = "cannot see images"
        elif request.tools and "tools" not in capabilities:
            problem = "cannot call tools"
        elif request.tools and request.schema is not None:
            problem = "cannot call tools and keep to a schema in one answer"
        if problem:
            raise ModelIncapable(
                f"{self._name} {problem}", "choose one that can: agentctl models list"
            )

    def _window(self, request: ChatRequest) -> int:
        asked = request.options.context_window or self._context_window
        return _fit_window(asked, self._read_header())

    def _overflow_hint(self, window: int) -> str:
        is_widest = window == self._read_header().context_length
        return _WIDEST_HINT if is_widest else _WIDEN_HINT

    def _load(self, window: int) -> "_Engine":
        if self._engine is None or self._engine.context_window != window:
            self._unload()
            self._engine = self._start(window)
        return self._engine

    def _unload(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _start(self, window: int) -> "_Engine":
        try:
            return _Engine(self._path, window, self._threads, self._gpu_layers)
        except (RuntimeError, OSError):
            raise InputUnreadable(
                f"the engine cannot load {self._path}: it is damaged, cut short, of an unknown"
                " kind or too large for the memory",
                f"fetch it again: agentctl models pull {self._name}",
            ) from None


class _Engine:
    """One loaded model."""

    def __init__(self, path: Path, context_window: int, threads: int, gpu_layers: int) -> None:
        """Raises RuntimeError when the engine cannot load the file."""
        xllamacpp = import_engine()

        self.context_window = context_window
        self._key = secrets.token_urlsafe(32)
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = context_window
        params.n_parallel = 1
        params.n_batch = _BATCH_TOKENS
        params.n_gpu_layers = gpu_layers
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.cache_ram_mib = _CACHE_MIB
        params.ctx_shift = False
        params.use_jinja = True
        self._server = start_server(params, self._key)

    def close(self) -> None:
        # The last reference frees the engine; a call that is still on holds one of its own.
        del self._server

    def answer(
        self,
        body: JsonObject,
        parser: AnswerParser,
        emit: Callable[[Delta], None],
        stopped: threading.Event,
    ) -> None:
        failures: list[Exception] = []

        def on_chunk(chunk: str) -> bool:
            try:
                for delta in parser.feed(json.loads(chunk)):
                    emit(delta)
            except Exception as error:  # noqa: BLE001 - the engine would swallow it
                failures.append(error)
            return bool(failures) or stopped.is_set()

        # Progress calls back after each batch of the prompt, so that a long one can be stopped.
        payload = json.dumps(body | {"return_progress": True})
        try:
            self._server.handle_chat_completions(payload, on_chunk)
        except (RuntimeError, ValueError) as error:
            raise _refusal(body, str(error)) from None
        if failures:
            raise failures.pop()
        if not stopped.is_set():
            emit(parser.end())

    def count_tokens(self, body: JsonObject) -> int:
        """By the listener: the engine offers no call for it."""
        import http.client

        address = self._server.listening_address.removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=_COUNT_TIMEOUT_S)
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        path = "/v1/chat/completions/input_tokens"
        try:
            connection.request("POST", path, json.dumps(body), headers)
            answer = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise BackendFailed(f"the engine cannot count tokens: {error}", "try again") from None
        finally:
            connection.close()
        if "input_tokens" not in answer:
            raise _refusal(body, str(answer.get("error", {}).get("message")))
        return int(answer["input_tokens"])


def start_server(params: "CommonParams", key: str) -> "Server":
    """Loads the model of `params`; its listener answers nobody but who has `key`, and is silent.

    Raises RuntimeError when the engine cannot load the file.
    """
    xllamacpp = import_engine()

    params.warmup = False
    params.verbosity = -1
    params.api_keys = [key]
    params.endpoint_slots = False
    params.ui = False
    params.cors_origins_explicit = True
    params.cors_origins = params.cors_methods = params.cors_headers = ""
    params.cors_credentials = False
    _read_into_page_cache(Path(params.model.path))
    return xllamacpp.Server(params)


def _read_into_page_cache(path: Path) -> None:
    """Loading holds the interpreter's lock: the slow part, the disk, comes before it."""
    buffer = bytearray(2**20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def _refusal(body: JsonObject, reason: str) -> InputUnreadable | BackendFailed:
    reason = " ".join(reason.split())[:300]
    if "response_format" in body:
        return InputUnreadable(f"the engine cannot keep to this schema: {reason}", "simplify it")
    return BackendFailed(f"the engine refused the request: {reason}", "try another model")


def _capabilities(header: GgufHeader) -> frozenset[Capability]:
    template = header.chat_template
    found: dict[Capability, bool] = {
        "tools": "tools" in template,
        "thinking": "<think>" in template or "enable_thinking" in template,
        "embedding": header.is_embedding,
    }
    return frozenset(capability for capability, has in found.items() if has)


def _fit_window(asked: int, header: GgufHeader) -> int:
    rounded = -(-asked // _WINDOW_BLOCK) * _WINDOW_BLOCK
    return min(rounded, header.context_length or rounded)


def count_cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _find_device(gpu_layers: int) -> str:
    xllamacpp = import_engine()

    gpus = [
        device["description"]
        for device in xllamacpp.get_device_info()
        if "GPU" in device["type"].name
    ]
    return f"GPU {', '.join(gpus)}" if gpus and gpu_layers else "CPU"
