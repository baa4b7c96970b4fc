"""The errors a person can meet. Each message says what is wrong, why, and what to do about it.

They carry only their message: whoever shows it (page, terminal, server) decides how.
"""


class AudioChatError(Exception):
    """Base of all errors that this package raises on purpose."""


class AudioError(AudioChatError):
    """A sound that cannot be used: unreadable, too long, too short, silent or of the wrong kind."""


class ConversationError(AudioChatError):
    """A conversation that cannot be built or changed as asked."""


class ModelError(AudioChatError):
    """A model that cannot be found, fetched, read or run."""


class VoiceError(AudioChatError):
    """A voice that cannot be found or failed to speak."""


class DataError(AudioChatError):
    """A manifest or data file that cannot be used."""


class MissingPartError(AudioChatError):
    """An optional package or program is absent; the message names it and the way to get it."""
