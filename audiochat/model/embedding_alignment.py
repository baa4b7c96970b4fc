"""How near audio embeddings lie to the embeddings of a transcript's tokens, and in their order.

Only numbers and their path: what the embeddings are made by is `audio_embeds`' business.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

N_SHUFFLES = 8
"""Other orders of the transcript that the right one is compared with."""


@dataclass(frozen=True, eq=False)
class EmbeddingAlignment:
    """The audio embeddings of one recording beside the tokens of its transcript."""

    arm: str
    """The way of hearing that made the embeddings."""
    cosine: np.ndarray
    """(L, M) float32: each audio embedding with each token."""
    path: tuple[int, ...]
    """The token that each audio embedding is laid to; never goes back."""
    score: float
    """Mean cosine along the path, less `shuffled`: how much nearer than by chance."""
    shuffled: float
    """The same mean for the transcript's tokens in other orders."""
    tokens: tuple[str, ...]
    """The transcript as the LLM cuts it."""
    times_s: tuple[tuple[float, float], ...]
    """Where in the recording each audio embedding comes from: start and end."""

    @property
    def along_path(self) -> float:
        """Mean cosine along the path."""
        return self.score + self.shuffled


def cosines(audio: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Cosine similarity of all pairs: (L, H), (M, H) → (L, M) float32; a zero vector gives 0."""
    return np.asarray(_unit_length(audio) @ _unit_length(tokens).T, dtype=np.float32)


def best_path(cosine: np.ndarray) -> tuple[tuple[int, ...], float]:
    """The monotone path of the highest mean cosine from the first token to the last.

    Each audio embedding stays at the token before it or advances to the next one. Where there are
    more tokens than embeddings, an advance may be as many tokens long as the end asks for.

    Args:
        cosine: (L, M), neither of them 0.

    Returns:
        The token of each audio embedding, and the mean cosine along them.
    """
    n_audio, n_tokens = cosine.shape
    assert cosine.size, "there is nothing to align"
    if n_audio == 1:  # it cannot begin at the first token and end at the last
        best = int(cosine[0].argmax())
        return (best,), float(cosine[0, best])
    longest = max(1, -(-(n_tokens - 1) // (n_audio - 1)))
    total = np.full(n_tokens + longest, -np.inf)  # as many places before the first token
    total[longest] = cosine[0, 0]
    advances = []
    for row in cosine[1:]:
        before = np.stack([total[longest - n : len(total) - n] for n in range(longest + 1)])
        advance = before.argmax(0)
        total[longest:] = np.take_along_axis(before, advance[None], 0)[0] + row
        advances.append(advance)
    path = [n_tokens - 1]
    for advance in reversed(advances):
        path.append(path[-1] - int(advance[path[-1]]))
    return tuple(reversed(path)), float(total[-1]) / n_audio


def shuffled_orders(n_tokens: int, n_shuffles: int = N_SHUFFLES, seed: int = 0) -> list[np.ndarray]:
    """Orders of the tokens, each other than theirs; a single token has none."""
    if n_tokens < 2:
        return []
    rng = np.random.default_rng(seed)
    orders: list[np.ndarray] = []
    while len(orders) < n_shuffles:
        order = rng.permutation(n_tokens)
        if (order != np.arange(n_tokens)).any():
            orders.append(order)
    return orders


def shuffled_mean(cosine: np.ndarray, orders: Sequence[np.ndarray]) -> float:
    """Mean cosine along the best path when the tokens (M) stand in `orders`, over all of them.

    Without an order the transcript itself is taken: one token tells nothing of an order.
    """
    means = [best_path(cosine[:, order])[1] for order in orders]
    return float(np.mean(means)) if means else best_path(cosine)[1]


def alignment_score(cosine: np.ndarray, orders: Sequence[np.ndarray]) -> float:
    """How much nearer the audio embeddings lie to the transcript than to it in other `orders`.

    Args:
        cosine: (L, M) of one recording.
        orders: of the M tokens, as `shuffled_orders` gives them.

    Returns:
        The mean cosine along the best path less its mean over the orders, -2 to 2; 0: no nearer
        than by chance.
    """
    return best_path(cosine)[1] - shuffled_mean(cosine, orders)


def _unit_length(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12))
