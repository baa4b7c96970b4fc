"""What a file of responses was made with: said in a file beside it, and checked when it is used.

Its tokens mean nothing to another LLM. Older files have none beside them and are taken as they are.
"""

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from audiochat.errors import DataError
from audiochat.model.torch_engine import TorchLanguageModel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Origin:
    """The LLM that answered, and how."""

    llm: str
    """Its digest: folders move."""
    max_new_tokens: int

    @classmethod
    def of(cls, lm: TorchLanguageModel, max_new_tokens: int) -> "Origin":
        """What `lm` answers is from here."""
        return cls(llm_digest(lm), max_new_tokens)


def llm_digest(lm: TorchLanguageModel) -> str:
    """Names an LLM by its vocabulary and a few weights, whatever their type and device."""
    vocabulary = sorted(lm.tokenizer.get_vocab().items())
    digest = hashlib.sha256(json.dumps(vocabulary).encode())
    last = lm.llama.model.layers[-1].mlp.down_proj.weight[:4]
    for weights in (lm.llama.model.norm.weight, last):
        rounded = weights.detach().cpu().to(torch.bfloat16).view(torch.int16)
        digest.update(rounded.contiguous().numpy().tobytes())
    return digest.hexdigest()


def check_llm(path: Path, lm: TorchLanguageModel) -> None:
    """See to it that the responses at `path` are this LLM's, where that is known.

    Raises:
        DataError: they are another's.
    """
    found = _read(path)
    if found is not None and found.llm != llm_digest(lm):
        raise DataError(
            f"{path} has the responses of another LLM (see {_beside(path)}), whose tokens mean "
            "nothing to this one: give the same --llm, or let this one answer by `train responses`."
        )


def check_origin(path: Path, origin: Origin, *, begun: bool) -> None:
    """Before responses are written to `path`: say what they come from, or compare if it is begun.

    Raises:
        DataError: it was begun with something else.
    """
    if not begun:
        _beside(path).write_text(json.dumps(asdict(origin)) + "\n", encoding="utf-8")
        return
    found = _read(path)
    if found is None:
        log.warning("%s does not say which LLM answered so far: it must be this one", path)
    elif found != origin:
        what = "LLM" if found.llm != origin.llm else "--max-new-tokens"
        raise DataError(
            f"{path} was begun with another {what} (see {_beside(path)}): give the same one, or "
            "another --out."
        )


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _read(path: Path) -> Origin | None:
    beside = _beside(path)
    if not beside.exists():
        return None
    try:
        return Origin(**json.loads(beside.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{beside} does not say what {path} was made with ({error}). If you know that this "
            "LLM made it, delete that file."
        ) from error
