"""Models that stay loaded between answers."""

import asyncio
from collections.abc import Callable

from agentctl.core.backends.base import ChatModel
from agentctl.core.backends.kept_models import KeptModels
from agentctl.core.backends.scripted import ScriptedModel


class Loaded(ScriptedModel):
    """Tells when it is freed."""

    def __init__(self, name: str, freed: list[str]) -> None:
        super().__init__(["hello"])
        self._name = name
        self._freed = freed

    async def close(self) -> None:
        self._freed.append(self._name)


def maker(made: list[str], freed: list[str]) -> Callable[[str], Callable[[], ChatModel]]:
    def named(name: str) -> Callable[[], ChatModel]:
        def make() -> ChatModel:
            made.append(name)
            return Loaded(name, freed)

        return make

    return named


def test_a_model_is_loaded_once_for_all_who_ask_for_it() -> None:
    made: list[str] = []
    freed: list[str] = []
    named = maker(made, freed)

    async def flow() -> None:
        kept = KeptModels()
        first, second = kept.take("a", named("a")), kept.take("a", named("a"))
        await first.close()
        await second.close()
        await kept.take("a", named("a")).close()
        assert (made, freed) == (["a"], [])
        await kept.close()

    asyncio.run(flow())
    assert freed == ["a"]


def test_one_that_nobody_uses_makes_room_for_another() -> None:
    made: list[str] = []
    freed: list[str] = []
    named = maker(made, freed)

    async def flow() -> None:
        kept = KeptModels()
        in_use = kept.take("a", named("a"))
        await kept.take("b", named("b")).close()
        await kept.take("c", named("c")).close()
        await asyncio.sleep(0)
        assert freed == ["b"]
        await in_use.close()
        await kept.close()

    asyncio.run(flow())
    assert sorted(freed) == ["a", "b", "c"]


def test_after_a_while_an_unused_one_is_freed_and_giving_back_twice_is_harmless() -> None:
    freed: list[str] = []
    named = maker([], freed)

    async def flow() -> None:
        kept = KeptModels(keep_s=0)
        model = kept.take("a", named("a"))
        other = kept.take("a", named("a"))
        await model.close()
        await model.close()
        await asyncio.sleep(0)
        assert freed == []
        await other.close()
        while not freed:  # noqa: ASYNC110 - it is the loop that frees it
            await asyncio.sleep(0)

    asyncio.run(flow())
    assert freed == ["a"]
