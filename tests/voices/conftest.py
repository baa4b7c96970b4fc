"""Coqui and its models import torchaudio: the guard comes before the tests that do."""

from audiochat import torchaudio_guard

torchaudio_guard.guard()
