"""Draws what was heard of one recording: its sound, its words with times, how sure, the alignment.

Plain HTML from plain values; knows nothing of Gradio. `insight.js` shows it and plays from a word.
"""

import html
from base64 import b64encode
from io import BytesIO

import numpy as np
from PIL import Image

from audiochat.audio import Waveform
from audiochat.conversation import AudioPart, TimedWord
from audiochat.model.embedding_alignment import EmbeddingAlignment
from audiochat.ui.render import SURE_FROM

LEVELS = ((SURE_FROM, "sure"), (0.5, "fairly sure"), (0.0, "unsure"))
"""From which confidence on a word is called what."""

LEAD_IN_S = 0.3
"""A word is written when the ear is sure of it: its sound begins up to this long before."""

N_BARS = 240
"""Bars of a drawn waveform."""

INK = (99, 102, 241)
"""The colour of the alignment: drawn by its opacity, it shows on white and on black."""

N_TICKS = 4


def level_of(confidence: float | None) -> str:
    """Return the word for a confidence; empty where there is no measure."""
    if confidence is None:
        return ""
    return next(name for start, name in LEVELS if confidence >= start)


def panel(part: AudioPart, sound: str) -> str:
    """Draw one recording.

    Args:
        part: the recording and what is known of its words.
        sound: the path of its sound file, which the page's script turns into an address.
    """
    pieces = [
        _waveform(part),
        f'<audio controls preload="metadata" data-path="{html.escape(sound)}" '
        'aria-label="Your recording"></audio>',
        _words(part),
        '<p><button type="button" class="insight-correct">Not what you said? Correct the words and '
        "be answered again</button></p>",
        '<div class="insight-alignment"><p class="quiet" role="status">Laying the sound beside '
        "the words …</p></div>",
    ]
    said = html.escape(part.words)
    return f'<section class="insight-part" data-said="{said}">{"".join(pieces)}</section>'


def trouble(sentence: str) -> str:
    """Draw a sentence in the place of what could not be drawn."""
    return f'<p class="quiet">{html.escape(sentence)}</p>'


def summary(words: tuple[TimedWord, ...]) -> str:
    """Say how sure the ear was of how many words, and name those it was not sure of."""
    levels = [level_of(word.confidence) for word in words]
    sure = f"Sure of {levels.count('sure')} of {len(words)} words."
    doubtful = [
        f"“{word.text}” ({level})"
        for word, level in zip(words, levels, strict=True)
        if level not in ("sure", "")
    ]
    return f"{sure} Less sure of {', '.join(doubtful)}." if doubtful else sure


def plays_from(words: tuple[TimedWord, ...]) -> list[float]:
    """Return where to play from so that each word is heard whole."""
    ends = [0.0, *(word.end_s for word in words)]
    return [max(end, word.start_s - LEAD_IN_S) for end, word in zip(ends, words, strict=False)]


def alignment_picture(alignment: EmbeddingAlignment) -> str:
    """Draw how near the embeddings of the sound lie to those of the words, with the one number."""
    tokens = "".join(f"<li>{html.escape(token.strip()) or '␣'}</li>" for token in alignment.tokens)
    image = b64encode(_cells(alignment.cosine)).decode()
    return (
        "<h3>How the sound fits the words</h3>"
        f'<p><strong class="score">{alignment.score:.2f}</strong> is how much nearer your sound, '
        "as the model takes it in, lies to these words than to the same words in other orders. "
        "Around 0: no nearer, it did not follow what was said.</p>"
        f'<div class="insight-map" role="img" aria-label="{html.escape(_in_words(alignment))}">'
        f'<ol class="tokens" aria-hidden="true">{tokens}</ol>'
        f'<div class="cells" aria-hidden="true"><img src="data:image/png;base64,{image}" alt="">'
        f"{_path_line(alignment)}</div>{_ticks(alignment)}</div>"
        '<p class="quiet">Left to right: moments of the recording. Top to bottom: the words in '
        "the pieces that the model reads. The stronger the colour, the nearer the two; the line "
        f"is the best way through without going back. {_about(alignment.arm)}</p>"
    )


def _about(arm: str) -> str:
    if arm == "hybrid":
        return (
            "This model starts from the words that it heard, so those come out near; correct a "
            "word and see the number fall."
        )
    return "This model takes no decision about words: it goes from the sound alone."


def _waveform(part: AudioPart) -> str:
    """The loudness over time, with a band beneath each word."""
    length = part.waveform.duration_s
    bands = "".join(
        f'<i class="{_css(word)}" style="left:{100 * word.start_s / length:.2f}%;'
        f'width:{100 * (word.end_s - word.start_s) / length:.2f}%"></i>'
        for word in part.timed_words
    )
    return (
        f'<div class="insight-wave" role="img" aria-label="Loudness of the recording over '
        f'{length:.1f} seconds"><svg viewBox="0 0 {N_BARS} 2" preserveAspectRatio="none" '
        f'aria-hidden="true"><path d="{_bars(part.waveform)}"/></svg>{bands}<b hidden></b></div>'
    )


def _bars(waveform: Waveform) -> str:
    peaks = np.array([np.abs(block).max(initial=0) for block in _blocks(waveform.samples)])
    peaks = np.maximum(peaks / max(float(peaks.max()), 1e-6), 0.02)
    return "".join(f"M{at} {1 - peak:.2f}v{2 * peak:.2f}" for at, peak in enumerate(peaks))


def _blocks(samples: np.ndarray) -> list[np.ndarray]:
    return np.array_split(samples, N_BARS)


def _words(part: AudioPart) -> str:
    """The words to press, with times and confidence; plain where the model gives no times."""
    corrected = ""
    if part.corrected:
        corrected = f"<p>You corrected it to: “{html.escape(part.corrected)}”</p>"
    if part.heard is None:
        return corrected + trouble("What was heard is not known yet.")
    if not part.timed_words:
        sure = level_of(part.confidence)
        return (
            f"<p>Heard: “{html.escape(part.heard)}”{f' ({sure})' if sure else ''}</p>{corrected}"
            + trouble("This model gives no times of single words.")
        )
    starts = plays_from(part.timed_words)
    items = map(_word, part.timed_words, starts, [*starts[1:], part.waveform.duration_s])
    legend = "".join(f'<span class="{name.replace(" ", "-")}">{name}</span>' for _, name in LEVELS)
    return (
        f"<p>{html.escape(summary(part.timed_words))}</p>{corrected}"
        f'<p class="quiet legend">Press a word to hear it: {legend}</p>'
        f'<ol class="insight-words">{"".join(items)}</ol>'
    )


def _word(word: TimedWord, start_s: float, until_s: float) -> str:
    level = level_of(word.confidence)
    share = "" if word.confidence is None else f"{100 * word.confidence:.0f} %"
    shown = f"{share} {level}" if level != "sure" else share
    said = ", ".join(filter(None, [word.text, f"at {word.start_s:.1f} seconds", level, share]))
    return (
        f'<li><button type="button" class="{_css(word)}" data-from="{start_s:.2f}" '
        f'data-until="{until_s:.2f}" aria-label="{html.escape(said)}. Play from here">'
        f"<b>{html.escape(word.text)}</b><span>{word.start_s:.1f} s</span>"
        f"<span>{shown}</span></button></li>"
    )


def _css(word: TimedWord) -> str:
    return level_of(word.confidence).replace(" ", "-")


def _cells(cosine: np.ndarray) -> bytes:
    """The matrix as a PNG of one pixel a pair: time to the right, words downwards."""
    pixels = np.empty((*cosine.T.shape, 4), np.uint8)
    pixels[..., :3] = INK
    pixels[..., 3] = np.round(255 * np.clip(cosine.T, 0.0, 1.0))
    file = BytesIO()
    Image.fromarray(pixels, "RGBA").save(file, "PNG")
    return file.getvalue()


def _path_line(alignment: EmbeddingAlignment) -> str:
    points = " ".join(f"{at + 0.5},{token + 0.5}" for at, token in enumerate(alignment.path))
    n_audio, n_tokens = alignment.cosine.shape
    lines = f'<polyline class="halo" points="{points}"/><polyline points="{points}"/>'
    return f'<svg viewBox="0 0 {n_audio} {n_tokens}" preserveAspectRatio="none">{lines}</svg>'


def _ticks(alignment: EmbeddingAlignment) -> str:
    n_audio = len(alignment.path)
    places = sorted({round(at) for at in np.linspace(0, n_audio - 1, N_TICKS)})
    labels = "".join(
        f'<span style="left:{100 * (at + 0.5) / n_audio:.1f}%">{alignment.times_s[at][0]:.1f} s'
        "</span>"
        for at in places
    )
    return f'<div class="ticks" aria-hidden="true">{labels}</div>'


def _in_words(alignment: EmbeddingAlignment) -> str:
    """The path for those who cannot see it: from when on the sound lies beside each piece."""
    told: dict[int, float] = {}
    for token, (start_s, _) in zip(alignment.path, alignment.times_s, strict=True):
        told.setdefault(token, start_s)
    steps = ", ".join(f"{alignment.tokens[token].strip()} {at:.1f}" for token, at in told.items())
    return f"The best way through, in seconds of the recording: {steps}."
