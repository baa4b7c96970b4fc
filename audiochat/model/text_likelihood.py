"""How likely a frozen LLM finds texts as what a person would say to it."""

from collections.abc import Sequence

import numpy as np

from audiochat.conversation import Conversation, Message
from audiochat.model.language_model import LanguageModel
from audiochat.model.prefix_store import n_common
from audiochat.model.prompt import prompt_ids


class TextLikelihood:
    """Scores texts that have much in common; what they begin with alike is read once."""

    def __init__(self, lm: LanguageModel) -> None:
        """Ask `lm`, in the words of its own chat template."""
        self._lm = lm
        one, other = self._whole("Yes"), self._whole("No")
        self._n_after = max(0, n_common(one[::-1], other[::-1]) - 1)
        lead = one[: max(1, n_common(one, other))]
        self._lead = lead, lm.extend(lm.embed(lead))[1]

    def __call__(self, texts: Sequence[str]) -> list[float]:
        """Natural log likelihood of each text, its end included, as the first turn of a chat."""
        prompts = {text: self._prompt(text) for text in texts}
        scores: dict[tuple[int, ...], float] = {}
        read, cache = self._lead
        log_probs = [0.0] * (len(read) - 1)
        for prompt in sorted(set(prompts.values())):
            # The last position in common is read again: its logits foretell the first new token.
            start = n_common(read, prompt[:-1]) - 1
            past = cache.prefix(start) if start > 0 else None
            logits, cache = self._lm.score(self._lm.embed(prompt[start:-1]), past)
            log_probs = [*log_probs[:start], *_chosen(logits, prompt[start + 1 :])]
            read = prompt[:-1]
            scores[prompt] = sum(log_probs)
        return [scores[prompts[text]] for text in texts]

    def _prompt(self, text: str) -> tuple[int, ...]:
        """The chat up to the token that ends the text."""
        ids = self._whole(text)
        return ids[: len(ids) - self._n_after]

    def _whole(self, text: str) -> tuple[int, ...]:
        return tuple(prompt_ids(self._lm, Conversation().add(Message.user(text))))


def _chosen(logits: np.ndarray, ids: Sequence[int]) -> list[float]:
    """Log probabilities of tokens (L), each by one row of logits (L, V)."""
    top = logits.max(axis=-1)
    total = np.log(np.exp(logits - top[:, None]).sum(axis=-1)) + top
    values: list[float] = (logits[np.arange(len(ids)), np.asarray(ids)] - total).tolist()
    return values
