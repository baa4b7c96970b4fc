"""A case with every arm's reply: what the figures are made of."""

from __future__ import annotations

from dataclasses import dataclass

from audiochat.evaluation.arms import Reply
from audiochat.evaluation.cases import Case
from audiochat.evaluation.clips import Clip
from audiochat.evaluation.metrics import Errors, count_errors


@dataclass(frozen=True)
class Answered:
    """One case with every arm's reply."""

    case: Case
    replies: dict[str, Reply]

    @property
    def clip(self) -> Clip:
        """The newest recording, with its line."""
        return self.case.clip

    def errors(self, arm: str) -> Errors:
        """Edits between what was said and what this arm heard."""
        return count_errors(self.clip.line.spoken, self.replies[arm].heard or "")
