"""How many engines are loaded: one for each thread that works, and one when the work is over."""

import threading

import psutil
import pytest

from agentctl.core.embedding.engines import Engines
from agentctl.core.embedding.llama_cpp import BUILT_IN_PATH
from agentctl.core.jsontypes import JsonObject

LONG_S = 3600.0
TEXTS = [[101, *[7592] * 100, 102]] * 40


def engines_after_work(rest_s: float) -> int:
    """How many are loaded once both threads had work, and the rest is over if it has an end."""
    before = listeners()
    engines = Engines(BUILT_IN_PATH, 256, 2, "embed", rest_s)
    engines.spread(lambda text: embed(engines, text), TEXTS)
    timers = [each for each in threading.enumerate() if isinstance(each, threading.Timer)]
    for timer in timers:
        if timer.interval < LONG_S:
            timer.join(60)
    return listeners() - before


def embed(engines: Engines, ids: list[int]) -> int:
    body: JsonObject = {"input": [[*ids]], "encoding_format": "base64"}
    return len(engines.ask(body, "data"))


def listeners() -> int:
    """An engine has one, which answers nobody."""
    connections = psutil.Process().net_connections("inet")
    return sum(each.status == psutil.CONN_LISTEN for each in connections)


@pytest.mark.parametrize(("rest_s", "loaded"), [(LONG_S, 2), (0.0, 1)])
def test_engines_are_kept_for_the_next_piece_of_work_and_then_freed_but_one(
    rest_s: float, loaded: int
) -> None:
    assert engines_after_work(rest_s) == loaded


def test_what_is_one_piece_of_work_sets_no_timer() -> None:
    engines = Engines(BUILT_IN_PATH, 256, 2, "embed", LONG_S)
    before = threading.active_count()

    assert engines.spread(len, [TEXTS[0]]) == [102]

    assert threading.active_count() == before
