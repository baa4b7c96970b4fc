"""A language model's own chat template, rendered as its authors' tools render it.

Templates are Jinja programs that come with the model's files, so they run in Jinja's sandbox. This
module knows messages of plain text only; `prompt` puts audio and users' words into the result.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from audiochat.errors import ModelError

_EXTENSIONS: list[type[Extension]] = [loopcontrols]


@dataclass(frozen=True)
class ChatTemplate:
    """A template and the names of the tokens that it may write."""

    source: str
    """The Jinja program."""
    bos_token: str = ""
    """What it calls `bos_token`."""
    eos_token: str = ""
    """What it calls `eos_token`."""

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Writes messages with `role` and `content`, up to where the assistant's reply begins.

        Raises:
            ModelError: The template is broken, or refuses these messages.
        """
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=_EXTENSIONS
        )
        environment.filters["tojson"] = _to_json
        environment.globals.update(raise_exception=_refuse, strftime_now=_now)
        try:
            return environment.from_string(self.source).render(
                messages=messages,
                add_generation_prompt=True,
                bos_token=self.bos_token,
                eos_token=self.eos_token,
            )
        except TemplateError as error:
            raise ModelError(
                f"The model's chat template cannot write this conversation ({error}): take a "
                "model whose template knows user and assistant turns."
            ) from error


def read_chat_template(folder: Path) -> ChatTemplate:
    """Reads the template of a model's folder.

    Raises:
        ModelError: The folder has none, so it is no chat model.
    """
    config = _tokenizer_config(folder)
    source: object = config.get("chat_template")
    if isinstance(source, list):  # several, named: [{"name": ..., "template": ...}]
        named = {entry["name"]: entry["template"] for entry in source}
        source = named.get("default")
    file = folder / "chat_template.jinja"
    if file.is_file():
        source = file.read_text(encoding="utf-8")
    if not isinstance(source, str):
        raise ModelError(
            f"{folder} has no chat template (chat_template.jinja, or in tokenizer_config.json), "
            "so it cannot be talked with: take the instruction-tuned version of this model."
        )
    return ChatTemplate(source, _token(config.get("bos_token")), _token(config.get("eos_token")))


def _tokenizer_config(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return {}
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return config


def _token(value: object) -> str:
    """A token is written as its text or as an object that holds it."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else ""


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def _to_json(value: object, indent: int | None = None) -> str:
    """Jinja's own filter escapes HTML, which a prompt must not."""
    return json.dumps(value, ensure_ascii=False, indent=indent)
