"""An n-gram language model of spoken words, read from an ARPA file.

Words are compared in lower case and without punctuation (`plain_word`). Knows no sound and no
search; `training.ngram` makes the files.
"""

import gzip
import math
import re
import zlib
from functools import lru_cache
from pathlib import Path

from audiochat.errors import ModelError

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
FOLDER_NAME, FILE_NAME = "lm", "lm.arpa.gz"
"""Where a weights folder has its n-gram model."""
NEVER = -99.0
"""The log10 probability that ARPA files give what cannot follow anything."""

_LN_10 = math.log(10)
_NOT_PLAIN = re.compile(r"[^a-z'\-]+")


@lru_cache(maxsize=1 << 16)  # a beam asks for the same beginnings of words over and over
def plain_word(written: str) -> str:
    """A written word as the model knows it: "Don't," is "don't"; empty if it has no letters."""
    return _NOT_PLAIN.sub("", written.lower()).strip("'-")


def plain_words(text: str) -> list[str]:
    """The words of a text as the model knows them."""
    return [word for word in map(plain_word, text.split()) if word]


class Ngrams:
    """Probabilities of words after other words, with back-off (Katz 1987)."""

    def __init__(self, order: int, log10s: dict[str, float], backoffs: dict[str, float]) -> None:
        """Hold log10 probabilities and back-off weights, both by the words joined with spaces."""
        self.order = order
        self._log10s, self._backoffs = log10s, backoffs
        self._unknown = log10s.get(UNKNOWN, NEVER)

    @classmethod
    def load(cls, path: Path) -> "Ngrams":
        """Read an ARPA file, plain or gzipped.

        Raises:
            ModelError: it cannot be read, or is not a whole ARPA file.
        """
        try:
            data = path.read_bytes()
            text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
            return cls(*_parse(text))
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise ModelError(
                f"The n-gram file {path} cannot be read ({error}). Copy it again, or make it with "
                "`python -m audiochat train lm`."
            ) from error

    def __contains__(self, word: str) -> bool:
        """Whether the model knows a plain word."""
        return word in self._log10s

    def __len__(self) -> int:
        """How many n-grams it holds."""
        return len(self._log10s)

    def vocabulary(self) -> dict[str, float]:
        """Every word that can be said, with its log probability regardless of context."""
        special = {START, END, UNKNOWN}
        return {
            word: value * _LN_10
            for word, value in self._log10s.items()
            if " " not in word and word not in special
        }

    def log_prob(self, context: str, word: str) -> float:
        """Natural log probability of a plain word, or END, after the words of `context`."""
        if word not in self._log10s:
            word = UNKNOWN
        total = 0.0
        while context:
            found = self._log10s.get(f"{context} {word}")
            if found is not None:
                return (total + found) * _LN_10
            total += self._backoffs.get(context, 0.0)
            context = context.partition(" ")[2]
        return (total + self._log10s.get(word, self._unknown)) * _LN_10

    def extended(self, context: str, word: str) -> str:
        """The context after one more word: the last `order` - 1 words."""
        if word not in self._log10s:
            word = UNKNOWN
        words = f"{context} {word}".split()
        return " ".join(words[len(words) - self.order + 1 :]) if self.order > 1 else ""

    def sentence_log_prob(self, text: str) -> tuple[float, int]:
        """Natural log probability of a text from start to end, and how many events it has."""
        context, total = self.extended("", START), 0.0
        events = [*plain_words(text), END]
        for word in events:
            total += self.log_prob(context, word)
            context = self.extended(context, word)
        return total, len(events)

    def perplexity(self, texts: list[str]) -> float:
        """The perplexity of some texts, each from start to end; unknown words count as one."""
        scored = [self.sentence_log_prob(text) for text in texts]
        return math.exp(-sum(total for total, _ in scored) / max(1, sum(n for _, n in scored)))


def _parse(text: str) -> tuple[int, dict[str, float], dict[str, float]]:
    """The order, log10 probabilities and back-off weights of an ARPA text."""
    head, *sections = text.split("\n\\")
    if not head.lstrip().startswith("\\data\\") or not sections or sections[-1].strip() != "end\\":
        raise ValueError("it is no ARPA file, or its end is missing")
    log10s: dict[str, float] = {}
    backoffs: dict[str, float] = {}
    for section in sections[:-1]:
        for line in section.splitlines()[1:]:
            value, _, rest = line.partition("\t")
            if not rest:
                continue
            words, _, backoff = rest.partition("\t")
            log10s[words] = float(value)
            if backoff:
                backoffs[words] = float(backoff)
    counts = [int(line.partition("=")[2]) for line in head.splitlines() if line.startswith("ngram")]
    if sum(counts) != len(log10s):
        raise ValueError(f"it announces {sum(counts)} n-grams and holds {len(log10s)}")
    return len(counts), log10s, backoffs
