"""Passages of the knowledge base for a question: which are found, and how many fit."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from agentctl.core.backends.base import Message, ModelInfo
from agentctl.core.chat.conversation import AskRequest, Conversation
from agentctl.core.errors import AgentctlError
from agentctl.core.knowledge.query import STOPWORDS, contextual_query
from agentctl.core.sources import Source

if TYPE_CHECKING:
    from agentctl.core.knowledge.library import SearchRequest, SearchResult

Answers: TypeAlias = Literal["auto", "always", "off"]

# What goes along unasked must fit well, what was asked for may be far off: by the best cosine, or
# else most of so many words in one passage, or for what was asked for somewhat of both. Measured
# with the built-in embedder, 24 encyclopaedia articles, 300 questions about them and 65 of small
# talk, nonsense and daily work: `auto` takes 97% of the ones and 2% of the others, `always` 99% and
# 15%. Of the passages themselves none that answers is left out.
_LEAST_COSINE = {"auto": 0.4, "always": 0.35}
_LEAST_WORDS = {"auto": 3, "always": 1}
_MOST_OF_WORDS = 0.6
_LESS_COSINE = 0.3
_SOME_OF_WORDS = 0.4
# A passage without a word of the question must have nearly the score of the best.
_SHARE_OF_BEST = 0.75
# What a model of less than a billion parameters is given: SmolLM2-135M answers 20 of 100 questions
# rightly with two passages, 10 with six, and reads them five times as long.
_SMALL_MODEL_PASSAGES = 2
# Of a longer prompt the rest is text to work on; a search looks for each of its words.
_QUERY_CHARACTERS = 2_000
# Of the prompt's room: the conversation and the files that were named need theirs.
_PASSAGES_SHARE = 0.5
_WORD = re.compile(r"[^\W_]+")


class Retriever(Protocol):
    """The knowledge base, as far as an answer needs it. Both may raise any AgentctlError."""

    async def search(self, request: "SearchRequest") -> "SearchResult": ...

    async def is_empty(self, collection: str | None) -> bool:
        """Asked with every question, so that it has to be quick."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """What fits the question, the best first and counted from 1, and what the user must know."""

    passages: tuple[Source, ...] = ()
    warnings: tuple[str, ...] = ()


class Grounder:
    """Looks into the knowledge base, which `knowledge` opens, as `answers` and a request say.

    At most `passages` go along with a question, fewer for a small model.
    """

    def __init__(
        self, knowledge: Callable[[], Retriever], *, answers: Answers, passages: int
    ) -> None:
        self._knowledge = knowledge
        self._answers = answers
        self._passages = passages

    async def find(
        self, request: AskRequest, conversation: Conversation, model: ModelInfo
    ) -> Found:
        """Raises what the knowledge base objects to if the request insists on it."""
        answers = request.knowledge or self._answers
        if answers == "off":
            return Found()
        try:
            is_small = model.parameters is not None and model.parameters < 1
            most = min(self._passages, _SMALL_MODEL_PASSAGES) if is_small else self._passages
            return await self._search(answers, request.collection, conversation, most)
        except AgentctlError as error:
            if answers == "always":
                raise
            return _nothing(f"{error.message}; try: {error.hint}" if error.hint else error.message)

    async def _search(
        self,
        answers: Literal["auto", "always"],
        collection: str | None,
        talk: Conversation,
        most: int,
    ) -> Found:
        from agentctl.core.knowledge.library import SearchRequest

        knowledge = self._knowledge()
        problem = "the knowledge base is empty; fill it: agentctl ingest PATH"
        if not await knowledge.is_empty(None):
            query = contextual_query(talk.prompt[:_QUERY_CHARACTERS], talk.past_prompts)
            result = await knowledge.search(
                SearchRequest(query=query, n=most, collection=collection)
            )
            if hits := _relevant(result, answers):
                numbered = enumerate(hits, 1)
                return Found(tuple(replace(hit, n=number) for number, hit in numbered))
            problem = "nothing in the knowledge base fits the question"
        return _nothing(problem) if answers == "always" else Found()


async def fit_passages(
    conversation: Conversation,
    budget: int,
    count_tokens: Callable[[tuple[Message, ...]], Awaitable[int]],
) -> Conversation:
    """Keeps as many of the best passages as fit beside the last turn, and half the `budget`.

    They come before the earlier turns, which `fit_context` then drops where there is no room.
    Counts at most O(log n) times for n passages.
    """
    if not conversation.passages:
        return conversation

    async def count(number: int) -> int:
        some = replace(conversation, passages=conversation.passages[:number])
        messages = some.messages()
        system = tuple(message for message in messages if message.role == "system")
        return await count_tokens((*system, messages[-1]))

    room = min(budget, await count(0) + int(budget * _PASSAGES_SHARE))
    kept, least = len(conversation.passages), 0
    if await count(kept) > room:
        # `least` fit, `kept` do not.
        while kept - least > 1:
            middle = (least + kept) // 2
            if await count(middle) <= room:
                least = middle
            else:
                kept = middle
        kept = least
    return replace(conversation, passages=conversation.passages[:kept])


def _nothing(reason: str) -> Found:
    return Found(warnings=(f"answered without sources: {reason}",))


def _relevant(result: "SearchResult", answers: Literal["auto", "always"]) -> list[Source]:
    """The hits that may go along: none when the question has nothing to do with any."""
    words = {word for word in _words(result.query) - STOPWORDS if len(word) > 1}
    shares = [
        len(words & _words(f"{hit.title} {hit.text}")) / max(len(words), 1) for hit in result.hits
    ]
    most, cosine = max(shares, default=0.0), result.best_cosine or 0.0
    if not (
        cosine >= _LEAST_COSINE[answers]
        or (len(words) >= _LEAST_WORDS[answers] and most >= _MOST_OF_WORDS)
        or (answers == "always" and cosine >= _LESS_COSINE and most >= _SOME_OF_WORDS)
    ):
        return []
    # Scores tell the hits of one question apart; of how near the best is they say nothing.
    least = _SHARE_OF_BEST * max((hit.score for hit in result.hits), default=0.0)
    return [
        hit for hit, share in zip(result.hits, shares, strict=True) if share or hit.score >= least
    ]


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}
