"""Engines of llama.cpp that turn text into vectors or scores: `xllamacpp`, loaded many times.

There is one engine for each thread, and each works on one text at a time: threads within one
engine wait for each other after every layer, and texts within one batch pay for attention over
all of them.
"""

import json
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from agentctl.core.backends.engine import import_engine
from agentctl.core.backends.llama_cpp import count_cores, start_server
from agentctl.core.errors import BackendFailed, InputUnreadable
from agentctl.core.jsontypes import JsonObject

if TYPE_CHECKING:
    from xllamacpp import Server

Purpose: TypeAlias = Literal["embed", "rerank"]
T = TypeVar("T")
R = TypeVar("R")

# An engine takes some 45 MB beside the weights, which all of them share; the next one is ready in
# a tenth of a second.
_MOST = 16
# Seconds after the last piece of work for all threads in which the engines are kept for the next.
_REST_S = 10.0


class Engines:
    """As many engines on one file as are used at once; one of them is kept until `close`.

    Args:
        path: the model file.
        window: the most tokens a text may have, special tokens counted.
        threads: to compute with, which is the number of engines; 0 for as many as there are
            cores. What is not spread over them may load one engine more.
        rest_s: seconds after work for all threads until all engines but one are freed.
    """

    def __init__(
        self, path: Path, window: int, threads: int, purpose: Purpose, rest_s: float = _REST_S
    ) -> None:
        self._path = path
        self._window = window
        self._threads = min(threads or count_cores(), _MOST)
        self._purpose: Purpose = purpose
        self._rest_s = rest_s
        self._spreading = threading.Lock()
        self._free = threading.Semaphore(self._threads + 1)
        self._idle: list[Server] = []
        self._resting: threading.Timer | None = None

    def spread(self, work: Callable[[T], R], batches: Sequence[T]) -> list[R]:
        """`work` on every batch, on all threads; one such call waits for another."""
        if len(batches) < 2:
            return [work(batch) for batch in batches]
        with self._spreading, ThreadPoolExecutor(self._threads) as pool:
            try:
                return list(pool.map(work, batches))
            finally:
                self._rest_later()

    def ask(self, body: JsonObject, rows: str) -> list[JsonObject]:
        """The answer's list of that name, from an engine that nobody else uses meanwhile.

        Raises:
            InputUnreadable: the engine cannot load the file.
            BackendFailed: it refuses the request.
        """
        with self._borrow() as server:
            handle = server.handle_embeddings
            if self._purpose == "rerank":
                handle = server.handle_rerank
            try:
                answer = json.loads(handle(json.dumps(body)))
            except (RuntimeError, ValueError) as error:
                raise BackendFailed(f"the engine cannot {self._purpose}: {error}") from None
        if rows not in answer:
            reason = answer.get("error", {}).get("message")
            raise BackendFailed(f"the engine cannot {self._purpose}: {reason}")
        found: list[JsonObject] = answer[rows]
        return found

    def close(self) -> None:
        # The last reference frees an engine; a call that is still on holds one of its own.
        self._idle.clear()

    def _rest_later(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
        self._resting = threading.Timer(self._rest_s, self._rest)
        self._resting.daemon = True
        self._resting.start()

    def _rest(self) -> None:
        """Gives back the memory that a large piece of work took."""
        del self._idle[1:]

    @contextmanager
    def _borrow(self) -> "Iterator[Server]":
        with self._free:
            try:
                server = self._idle.pop()
            except IndexError:
                server = self._start()
            yield server
            self._idle.append(server)

    def _start(self) -> "Server":
        xllamacpp = import_engine()

        params = xllamacpp.CommonParams()
        params.model.path = str(self._path)
        params.embedding = True
        if self._purpose == "rerank":
            params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK
        # Where words look both ways, a text has to be read in one piece.
        params.n_ctx = params.n_batch = params.n_ubatch = self._window
        params.n_parallel = 1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.n_threads_http = 1
        # The same numbers on every machine, and weights that engines share.
        params.n_gpu_layers = 0
        params.no_extra_bufts = True
        params.cache_ram_mib = 0
        try:
            return start_server(params, secrets.token_urlsafe(32))
        except (RuntimeError, OSError):
            raise InputUnreadable(
                f"the engine cannot load {self._path}: it is damaged, cut short, of another kind"
                " or too large for the memory",
                "see what is set: agentctl config show",
            ) from None
