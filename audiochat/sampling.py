"""How the next token is chosen: one value shared by page, terminal, server and evaluation."""

from dataclasses import dataclass

from audiochat.errors import ModelError

MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class Sampling:
    """Settings of the token loop, checked when made.

    Raises:
        ModelError: a setting is outside its range; the message names its flag.
    """

    temperature: float = 0.0
    """Spread of the choice: 0 always takes the likeliest token, 1 follows the model."""

    top_p: float = 1.0
    """Choose only among the likeliest tokens that together hold this share; 1 is all of them."""

    repetition_penalty: float = 1.1
    """Divides the score of tokens said in this reply and the newest ones before; 1 is none."""

    seed: int | None = None
    """Repeats the same choices; none draws anew each time."""

    max_new_tokens: int = 256
    """Longest reply, in tokens."""

    def __post_init__(self) -> None:
        """Check every range."""
        _check("--temperature", self.temperature, 0.0 <= self.temperature <= 5.0, "from 0 to 5")
        _check("--top-p", self.top_p, 0.0 < self.top_p <= 1.0, "above 0 and at most 1")
        _check(
            "--repetition-penalty",
            self.repetition_penalty,
            1.0 <= self.repetition_penalty <= 2.0,
            "from 1 to 2",
        )
        seed_fits = self.seed is None or 0 <= self.seed <= MAX_SEED
        _check("--seed", self.seed, seed_fits, f"from 0 to {MAX_SEED}, or left out")
        tokens_fit = 1 <= self.max_new_tokens <= 100_000
        _check("--max-new-tokens", self.max_new_tokens, tokens_fit, "from 1 to 100000")

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.temperature == 0.0


def _check(flag: str, value: float | None, fits: bool, allowed: str) -> None:
    """Raise unless the value fits; NaN fails every comparison and so never fits."""
    if not fits:
        raise ModelError(f"{flag} must be {allowed}, not {value}.")
