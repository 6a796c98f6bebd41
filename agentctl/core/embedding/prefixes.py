"""The words that known models want before a query and before a passage."""

import re
from typing import NamedTuple


class Prefixes(NamedTuple):
    """Empty for a model that wants none."""

    query: str = ""
    passage: str = ""


_SEARCH = "Represent this sentence for searching relevant passages: "
_INSTRUCT = (
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
)

# The first pattern found in a model's name counts. Each is from the model's card at
# https://huggingface.co, under the owner in the comment.
_KNOWN = (
    # nomic-ai
    (r"nomic-embed-text|modernbert-embed", Prefixes("search_query: ", "search_document: ")),
    # intfloat; the -instruct models take an instruction before queries, and nothing else
    (r"\be5-.*instruct", Prefixes(_INSTRUCT + " ")),
    (r"\be5-", Prefixes("query: ", "passage: ")),
    # Snowflake; version 2 is shorter
    (r"arctic-embed(2|.*v2)", Prefixes("query: ")),
    (r"arctic-embed", Prefixes(_SEARCH)),
    # mixedbread-ai
    (r"mxbai-embed", Prefixes(_SEARCH)),
    # BAAI; bge-m3 wants none
    (r"bge-(small|base|large)-en", Prefixes(_SEARCH)),
    (r"bge-(small|base|large)-zh", Prefixes("为这个句子生成表示以用于检索相关文章：")),  # noqa: RUF001 - Chinese
    # Qwen
    (r"qwen3-embedding", Prefixes(_INSTRUCT)),
    # google
    (r"embeddinggemma", Prefixes("task: search result | query: ", "title: none | text: ")),
)


def prefixes_of(model: str) -> Prefixes:
    """By the model's name, whatever stands around it: an owner, a tag, a file's ending."""
    name = model.casefold()
    return next((prefixes for pattern, prefixes in _KNOWN if re.search(pattern, name)), Prefixes())
