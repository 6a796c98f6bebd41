"""BERT's tokenizer: words of lower case without accents, cut into the longest known pieces.

As in the reference (https://github.com/google-research/bert/blob/master/tokenization.py and
Hugging Face's `BertNormalizer`, `BertPreTokenizer` and `WordPiece`), for uncased vocabularies;
except that a text never means a special token: `[SEP]` in it is three pieces of text.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

from agentctl.core.backends.gguf import read_gguf_header, read_gguf_strings
from agentctl.core.errors import ModelIncapable

# Ids in the vocabulary, and where each piece starts in its run.
_Pieces: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]

_SPACE = "\\t\\n\\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_PUNCTUATION = r"!-/:-@\[-`{-~"
# No word reaches over white space or ASCII punctuation: what lies between is cut on its own.
_RUN = re.compile(f"[^{_SPACE}{_PUNCTUATION}]+|[{_PUNCTUATION}]")
_IS_SPACE = re.compile(f"[{_SPACE}]")
_IS_PUNCTUATION = re.compile(f"[{_PUNCTUATION}]")
_IDEOGRAPHS = re.compile(
    "[\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b73f"
    "\U0002b740-\U0002b81f\U0002b920-\U0002ceaf\uf900-\ufaff\U0002f800-\U0002fa1f]"
)
_UNSEEN = ("Cc", "Cf", "Co", "Cs")
_LONGEST_WORD = 100
# No tokenizer knows words of more letters.
_LONG_WORD = 16
# What is looked up again is short; the cache takes some 30 MB at most.
_LONGEST_CACHED = 32
_MOST_CACHED = 100_000


class WordPieces:
    """A vocabulary, and what it makes of text. Threads may share it."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        """`vocabulary` is in the order of its ids.

        Pieces inside of a word begin with `##`; or, as llama.cpp's converter writes them, all
        others with U+2581.

        Raises ModelIncapable when it lacks the special tokens.
        """
        ids = {piece: index for index, piece in enumerate(vocabulary)}
        try:
            self._classify, self._separate = ids["[CLS]"], ids["[SEP]"]
            self._unknown = ids["[UNK]"]
        except KeyError as missing:
            raise ModelIncapable(f"the vocabulary has no {missing.args[0]}") from None
        if "\u2581a" in ids:
            self._first = {piece[1:]: ids[piece] for piece in ids if piece[0] == "\u2581"}
            self._inner = {piece: ids[piece] for piece in ids if piece[0] != "\u2581"}
        else:
            self._first = {piece: ids[piece] for piece in ids if piece[:2] != "##"}
            self._inner = {piece[2:]: ids[piece] for piece in ids if piece[:2] == "##"}
        self._longest_piece = max(map(len, vocabulary))
        self._cache: dict[str, _Pieces] = {}

    @classmethod
    def of_model(cls, path: Path) -> "WordPieces":
        """That of a GGUF file.

        Raises:
            ModelNotFound: there is no such file.
            InputUnreadable: it may not be read, or is no GGUF file.
            ModelIncapable: its vocabulary is not of word pieces.
        """
        kind = read_gguf_header(path).tokenizer
        if kind != "bert":
            raise ModelIncapable(
                f"{path} cuts text by {kind or 'nothing'}, not into word pieces",
                "serve it with Ollama, and set knowledge.embedder to ollama:NAME",
            )
        return cls(read_gguf_strings(path, "tokenizer.ggml.tokens"))

    def starts(self, text: str) -> list[int]:
        """Where each piece begins, in characters, ascending (pieces of one character are equal)."""
        found: list[int] = []
        for start, (_, offsets) in self._cut(text):
            if len(offsets) == 1:
                found.append(start + offsets[0])
            else:
                found.extend([start + offset for offset in offsets])
        return found

    def cautious_starts(self, text: str) -> list[int]:
        """`starts` for a model whose own tokenizer cannot be asked: rather too many than too few.

        Some may be equal.
        """
        found: list[int] = []
        for start, end in pairwise([*self.starts(text), len(text)]):
            count = _most_pieces(text[start:end])
            if count == 1:
                found.append(start)
            else:
                found.extend([start + index * (end - start) // count for index in range(count)])
        return found

    def encode(self, text: str, limit: int) -> list[int]:
        """Ids, at most `limit` and the two special tokens around them."""
        found = [self._classify]
        for _, (ids, _) in self._cut(text):
            found.extend(ids)
            if len(found) > limit:
                break
        return [*found[: limit + 1], self._separate]

    def _cut(self, text: str) -> Iterator[tuple[int, _Pieces]]:
        cache = self._cache
        for match in _RUN.finditer(text):
            run = match[0]
            pieces = cache.get(run)
            if pieces is None:
                pieces = self._cut_run(run)
                if len(run) <= _LONGEST_CACHED:
                    if len(cache) >= _MOST_CACHED:
                        cache.clear()
                    cache[run] = pieces
            yield match.start(), pieces

    def _cut_run(self, run: str) -> _Pieces:
        ids: list[int] = []
        starts: list[int] = []
        for word, places in _words(run):
            for index, start in self._cut_word(word):
                ids.append(index)
                starts.append(places[start])
        return tuple(ids), tuple(starts)

    def _cut_word(self, word: str) -> list[tuple[int, int]]:
        """Ids and starts of the longest pieces from the left; unknown as a whole if one is."""
        if len(word) > _LONGEST_WORD:
            return [(self._unknown, 0)]
        found: list[tuple[int, int]] = []
        start, known = 0, self._first
        while start < len(word):
            end = min(len(word), start + self._longest_piece)
            while end > start and word[start:end] not in known:
                end -= 1
            if end == start:
                return [(self._unknown, 0)]
            found.append((known[word[start:end]], start))
            start, known = end, self._inner
        return found


def well_formed(text: str) -> str:
    """Of the same length, with a question mark for each half of a character (a lone surrogate)."""
    return text.encode(errors="replace").decode()


def _most_pieces(piece: str) -> int:
    """What another tokenizer may make of it: letters of what is no word, bytes of other scripts."""
    if piece.isascii():
        length = len(piece.rstrip())
        return 1 if length <= _LONG_WORD else length
    foreign = sum(len(each.encode(errors="replace")) for each in piece if not each.isascii())
    return max(1, foreign // 2)


def _words(run: str) -> Iterator[tuple[str, list[int]]]:
    """The words of a run without white space, and where each of their letters came from."""
    word: list[str] = []
    places: list[int] = []
    for place, character in enumerate(run):
        is_ideograph = _IDEOGRAPHS.match(character) is not None
        for letter in _letters(character):
            if is_ideograph or _is_punctuation(letter):
                if word:
                    yield "".join(word), places
                yield letter, [place]
                word, places = [], []
            else:
                word.append(letter)
                places.append(place)
    if word:
        yield "".join(word), places


def _letters(character: str) -> Iterable[str]:
    """Lower case, without accents; nothing for what cannot be seen."""
    if character == "\ufffd" or unicodedata.category(character) in _UNSEEN:
        return ()
    letters = unicodedata.normalize("NFD", character)
    return "".join(each for each in letters if unicodedata.category(each) != "Mn").lower()


def _is_punctuation(letter: str) -> bool:
    return _IS_PUNCTUATION.match(letter) is not None or unicodedata.category(letter)[0] == "P"
