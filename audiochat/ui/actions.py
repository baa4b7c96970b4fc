"""What a visitor's buttons, keys and microphone do to the session; the plain ones are its methods.

Each function takes the session first, then what its components hold, and raises an AudioChatError
with a sentence for the person.
"""

import html
from pathlib import Path

from audiochat.audio import RECORDING_LIMITS, decode
from audiochat.conversation import Message
from audiochat.errors import AudioError
from audiochat.ui.open_microphone import OpenMicrophones
from audiochat.ui.page import ANSWER_IT
from audiochat.ui.session import Session


def ask(session: Session, text: str) -> Session:
    """Ask what was typed."""
    return session.ask(Message.user(text))


def hear(session: Session, path: str | None, text: str = "", task: str = ANSWER_IT) -> Session:
    """Ask what was recorded or uploaded, with the task chosen and the text typed beside it."""
    if not path:
        raise AudioError("No sound arrived. Record again, or upload a file.")
    recording = decode(Path(path), RECORDING_LIMITS)
    return session.ask(Message.user(task, text, recording))


def take_turn(session: Session, turn: str, task: str, *, microphones: OpenMicrophones) -> Session:
    """Ask the turn that was said at an open microphone, by both their names.

    A third word of `turn` tells how many pieces of the reply had been said when it was interrupted.
    """
    visitor, name, said, *_ = [*turn.split(), "", "", ""]
    message = Message.user(task, microphones.take(visitor, name))
    session = session.settled()
    counted = said.isdecimal() and len(said) < 6
    return (session.interrupted(int(said)) if counted else session).ask(message)


def edit(session: Session, edited: tuple[int, str]) -> Session:
    """Ask again with an earlier message edited in the view."""
    index, text = edited
    return session.edit(index, html.unescape(text).strip())


def correct_earlier(session: Session, corrected: tuple[int, str]) -> Session:
    """Ask again with the words of an earlier recording put right."""
    index, words = corrected
    return session.correct(words, index)
