"""The losses: CTC for the ear, cross-entropy and distillation for the connectors."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from audiochat.model.conformer import Encoded
from audiochat.model.units import BLANK
from audiochat.training.batches import SpeechBatch

_SMALL = 1e-6
"""Least share of the tokens that are taken as one."""


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    n_frames: Tensor,
    n_targets: Tensor,
    wordless: Tensor | None = None,
) -> Tensor:
    """CTC loss for each target (Graves et al. 2006).

    log_probs: (B, T, V), targets: (B, L), n_frames and n_targets: (B,). Clips too short for their
    targets count nothing, nor do clips without any, unless `wordless` (B,) says that nothing is
    what was said there.
    """
    losses = functional.ctc_loss(
        log_probs.float().transpose(0, 1),
        targets,
        n_frames,
        n_targets,
        blank=BLANK,
        reduction="none",
        zero_infinity=True,
    )
    known = n_targets > 0 if wordless is None else (n_targets > 0) | wordless
    return (losses * known).sum() / n_targets.sum().clamp(min=1)


def hearing_losses(
    encoded: Encoded, batch: SpeechBatch, *, views: int = 1
) -> tuple[Tensor, Tensor]:
    """CTC loss of the units, and the mean one of the phones guessed by the middle blocks.

    `views`: how often the batch's clips were encoded, one after the other along B.
    """
    device = encoded.log_probs.device

    def loss(log_probs: Tensor, targets: Tensor, n_targets: Tensor) -> Tensor:
        n_frames = encoded.n_frames * (log_probs.shape[1] // encoded.log_probs.shape[1])
        targets, n_targets = targets.to(device), n_targets.to(device)
        wordless = batch.wordless.to(device).repeat(views)
        targets, n_targets = targets.repeat(views, 1), n_targets.repeat(views)
        return ctc_loss(log_probs, targets, n_frames, n_targets, wordless)

    units = loss(encoded.log_probs, batch.targets, batch.n_targets)
    middle = [loss(one, batch.phones, batch.n_phones) for one in encoded.phone_log_probs]
    return units, torch.stack(middle).mean() if middle else units.new_zeros(())


def consistency_loss(encoded: Encoded) -> Tensor:
    """How far the posteriors of two views of the same clips are apart, a frame (Yao et al. 2024).

    The views are the two halves of B; each is drawn towards the other as it stands.
    """
    one, two = encoded.log_probs.float().chunk(2)
    n_frames = encoded.n_frames.chunk(2)[0]
    inside = torch.arange(one.shape[1], device=one.device) < n_frames[:, None]

    def towards(moved: Tensor, fixed: Tensor) -> Tensor:
        fixed = fixed.detach()
        return (fixed.exp() * (fixed - moved)).sum(-1)

    apart = (towards(one, two) + towards(two, one)) / 2
    return (apart * inside).sum() / inside.sum()


@dataclass(frozen=True)
class Teacher:
    """What the LLM says of a response after the prompt in writing: its likeliest tokens."""

    ids: Tensor
    """(n, K)"""
    log_probs: Tensor
    """(n, K)"""

    @classmethod
    def of(cls, logits: Tensor, n_tokens: int) -> "Teacher":
        """The K = `n_tokens` likeliest of logits (n, V)."""
        log_probs = logits.float().log_softmax(-1)
        top = log_probs.topk(min(n_tokens, log_probs.shape[-1]))
        return cls(top.indices, top.values)


def response_loss(
    logits: Tensor, wanted: Tensor, teacher: Teacher | None, *, kl_weight: float
) -> Tensor:
    """Modal invariance: speech must draw the response that its transcript drew.

    Args:
        logits: (n, V) that predict the response's tokens after the prompt with speech.
        wanted: (n,) those tokens.
        teacher: of the same tokens after the prompt in writing; None without distillation.
        kl_weight: share of the distillation term.

    Returns:
        The mean over response tokens. The distillation is the divergence from the teacher over
        its likeliest tokens and, as one more, all others together.
    """
    log_probs = logits.float().log_softmax(-1)
    cross = -log_probs.gather(-1, wanted[:, None]).mean()
    if teacher is None or kl_weight == 0:
        return cross
    own = log_probs.gather(-1, teacher.ids)
    divergence = (teacher.log_probs.exp() * (teacher.log_probs - own)).sum(-1)
    rest = teacher.log_probs.exp().sum(-1).clamp(max=1 - _SMALL)
    own_rest = own.exp().sum(-1).clamp(max=1 - _SMALL)
    divergence = divergence + (1 - rest) * ((-rest).log1p() - (-own_rest).log1p())
    return (1 - kl_weight) * cross + kl_weight * divergence.mean()
