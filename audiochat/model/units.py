"""The CTC head's subword units: cased, punctuated pieces of the spoken form; 0 is the blank."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from audiochat.errors import ModelError

BLANK = 0
WORD_START = "▁"
_BLANK_NAME = "<blank>"


class Units:
    """Text to unit ids and back."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Wrap a tokenizer whose id 0 is the blank."""
        self._tokenizer = tokenizer
        self.size = tokenizer.get_vocab_size()

    @classmethod
    def trained(cls, texts: Iterable[str], size: int) -> Self:
        """Byte-pair units learnt from spoken forms."""
        tokenizer = Tokenizer(models.BPE(unk_token=None))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(WORD_START)
        tokenizer.decoder = decoders.Metaspace(WORD_START)
        trainer = trainers.BpeTrainer(
            vocab_size=size, special_tokens=[_BLANK_NAME], show_progress=False
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a units file.

        Raises:
            ModelError: the file is missing or is not one of ours.
        """
        try:
            text = path.read_text(encoding="utf-8")
            json.loads(text)
        except (OSError, ValueError) as error:
            raise ModelError(f"The units file {path} cannot be read ({error}).") from error
        tokenizer = Tokenizer.from_str(text)
        if tokenizer.token_to_id(_BLANK_NAME) != BLANK:
            raise ModelError(f"The units file {path} has no blank at 0: it is not one of ours.")
        return cls(tokenizer)

    def save(self, path: Path) -> None:
        """Write the units file."""
        self._tokenizer.save(str(path))

    def encode(self, spoken: str) -> list[int]:
        """Unit ids; characters outside the units' alphabet are left out."""
        return self._tokenizer.encode(spoken, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of unit ids, blanks ignored."""
        return self._tokenizer.decode([unit for unit in ids if unit != BLANK]).strip()

    def piece(self, unit: int) -> str:
        """The text of one unit, its word start written as a space; the blank is empty."""
        if unit == BLANK:
            return ""
        return str(self._tokenizer.id_to_token(unit) or "").replace(WORD_START, " ")

    def starts_word(self, unit: int) -> bool:
        """Whether a unit begins a new word."""
        return str(self._tokenizer.id_to_token(unit) or "").startswith(WORD_START)
