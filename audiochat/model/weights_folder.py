"""Where weights folders are, and the search for words that a folder's n-gram model allows."""

from pathlib import Path

from audiochat.errors import ModelError
from audiochat.model.beam_search import BeamSearch
from audiochat.model.ear import Read
from audiochat.model.language_model import LanguageModel
from audiochat.model.ngram import FILE_NAME, FOLDER_NAME, Ngrams
from audiochat.model.reader import Reader
from audiochat.model.units import Units

PACKAGE = Path(__file__).parents[1]
WEIGHTS_FOLDERS = (PACKAGE.parent / "assets" / "embedded", PACKAGE / "assets" / "embedded")
"""Where the shipped weights are: in a clone, and installed."""


def weights_folder(name: str) -> Path:
    """Where "embedded" or a folder of trained weights lies.

    Raises:
        ModelError: there is no such folder.
    """
    if name != "embedded":
        folder = Path(name)
        if folder.is_dir():
            return folder
        raise ModelError(f"There is no weights folder {name!r}. Give one, or 'embedded'.")
    for folder in WEIGHTS_FOLDERS:
        if folder.is_dir():
            return folder
    raise ModelError(
        "The embedded model's weights (assets/embedded) are missing: install audiochat again, or "
        "train them with `python -m audiochat train`."
    )


def beam_reader(folder: Path, units: Units, lm: LanguageModel | None = None) -> Read | None:
    """A beam search with the n-gram model in a weights folder; None where it has none.

    With `lm`, the LLM has its say on what the search found.
    """
    path = folder / FOLDER_NAME / FILE_NAME
    return Reader(BeamSearch(units, Ngrams.load(path)), lm) if path.is_file() else None
