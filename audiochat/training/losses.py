"""The losses: CTC for the ear, cross-entropy and distillation for the connectors."""

import torch
from torch import Tensor
from torch.nn import functional

from audiochat.model.conformer import Encoded
from audiochat.model.units import BLANK


def ctc_loss(
    encoded: Encoded, targets: Tensor, n_targets: Tensor, *, early_weight: float
) -> Tensor:
    """CTC loss for each target unit, earlier blocks' guesses mixed in with `early_weight`.

    targets: (B, L) unit ids; n_targets: (B,). Clips too short for their units count nothing.
    """

    def one(log_probs: Tensor) -> Tensor:
        losses = functional.ctc_loss(
            log_probs.float().transpose(0, 1),
            targets,
            encoded.n_frames,
            n_targets,
            blank=BLANK,
            reduction="none",
            zero_infinity=True,
        )
        return losses.sum() / n_targets.sum()

    last = one(encoded.log_probs)
    if not encoded.early_log_probs or early_weight == 0:
        return last
    early = torch.stack([one(log_probs) for log_probs in encoded.early_log_probs]).mean()
    return (1 - early_weight) * last + early_weight * early


def response_loss(
    logits: Tensor,
    teacher_logits: Tensor | None,
    responses: Tensor,
    mask: Tensor,
    *,
    kl_weight: float,
) -> Tensor:
    """Modal invariance: the audio prompt must draw the response that the transcript drew.

    Args:
        logits: (B, L, V) at the positions that predict `responses` (B, L).
        teacher_logits: (B, L, V) of the same LLM prompted with the transcript, or None.
        responses: token ids.
        mask: (B, L), 1 where a response token is to be predicted.
        kl_weight: share of the distillation term.

    Returns:
        The mean over response tokens.
    """
    log_probs = logits.float().log_softmax(-1)
    cross = -log_probs.gather(-1, responses[..., None])[..., 0]
    loss = (cross * mask).sum() / mask.sum()
    if teacher_logits is None or kl_weight == 0:
        return loss
    teacher = teacher_logits.float().log_softmax(-1)
    divergence = (teacher.exp() * (teacher - log_probs)).sum(-1)
    return (1 - kl_weight) * loss + kl_weight * (divergence * mask).sum() / mask.sum()
