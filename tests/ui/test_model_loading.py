"""Loading in the background: progress, failure, another try."""

import threading

import pytest

from audiochat.errors import ModelError
from audiochat.ui.model_loading import UNEXPECTED, Loading, Models
from tests.fakes import EchoBackend


def test_progress_is_seen_while_it_loads() -> None:
    go_on = threading.Event()

    def load(progress):
        progress("Fetching", 0.5)
        go_on.wait(5)
        return "thing"

    loading = Loading(load)
    assert not loading.wait(0.05)
    assert (loading.sentence, loading.fraction) == ("Fetching", 0.5)
    go_on.set()
    assert loading.result() == "thing"
    assert loading.error is None


def test_a_failure_is_the_sentence_of_its_error() -> None:
    def load(_progress):
        raise ModelError("No network, and nothing cached.")

    loading = Loading(load)
    with pytest.raises(ModelError, match="nothing cached"):
        loading.result()


def test_an_unforeseen_failure_leaves_nobody_waiting(monkeypatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _args: None)

    def load(_progress):
        raise RuntimeError("unforeseen")

    loading = Loading(load)
    assert loading.wait(5)
    assert str(loading.error) == UNEXPECTED


def test_each_model_is_loaded_once_and_again_only_on_demand() -> None:
    asked = []

    def load(name, _progress):
        asked.append(name)
        if len(asked) == 1:
            raise ModelError("not today")
        return EchoBackend()

    models = Models(load, ["a", "b"])
    assert asked == []
    assert models.get("a").wait(5)
    assert models.get("a").error
    assert asked == ["a"]
    assert models.get("a", again=True).result().name == "echo"
    assert models.get("a", again=True) is models.get("a")
    assert asked == ["a", "a"]
    with pytest.raises(ModelError, match="offers a, b"):
        models.get("c")
