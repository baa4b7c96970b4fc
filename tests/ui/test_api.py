"""`/chat` through gradio_client: replies, histories apart, errors that change nothing."""

import threading
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from audiochat.audio import decode, write_wav
from audiochat.errors import ModelError
from audiochat.ui.api import BUSY
from tests.fakes import BrokenBackend, BrokenVoice, EchoBackend, tone


def client(address: str) -> Client:
    return Client(address, verbose=False, analytics_enabled=False)


def test_the_parameters_are_those_of_the_contract(stage) -> None:
    endpoints = client(stage.address).view_api(return_format="dict", print_info=False)
    assert list(endpoints["named_endpoints"]) == ["/chat"]
    chat = endpoints["named_endpoints"]["/chat"]
    names = [(p["parameter_name"], p["parameter_has_default"]) for p in chat["parameters"]]
    assert names == [("audio", False), ("text", True)]
    assert [r["label"] for r in chat["returns"]] == ["reply", "speech", "heard"]


def test_text_and_audio_turns_in_one_history(stage, tmp_path: Path) -> None:
    clip = tmp_path / "question.wav"
    write_wav(tone(2.0), clip)
    talk = client(stage.address)
    reply, speech, heard = talk.predict(audio=None, text="hello", api_name="/chat")
    assert (reply, heard) == ("Turn 1. You said: hello.", None)
    assert decode(speech).duration_s > 0.5
    reply, _, heard = talk.predict(audio=handle_file(clip), api_name="/chat")
    assert (reply, heard) == (
        "Turn 2. You said: a clip of 2.0 seconds.",
        "a clip of 2.0 seconds",
    )


def test_two_clients_interleaved_keep_their_histories_apart(stage) -> None:
    backend = EchoBackend(delay_s=0.005)
    address = stage.set(backend).address
    ann, bob = client(address), client(address)
    for turn in (1, 2, 3):
        jobs = [
            (name, who.submit(audio=None, text=f"{name} {turn}", api_name="/chat"))
            for name, who in (("ann", ann), ("bob", bob))
        ]
        for name, job in jobs:
            assert job.result(timeout=60)[0] == f"Turn {turn}. You said: {name} {turn}."
    for conversation in backend.conversations:
        words = " ".join(message.text for message in conversation.messages)
        assert ("ann" in words) != ("bob" in words)


def test_turns_of_one_client_wait_for_each_other(stage) -> None:
    """None is lost, and each sees those before it."""
    talk = client(stage.set(EchoBackend(delay_s=0.01)).address)
    jobs = [talk.submit(audio=None, text="again", api_name="/chat") for _ in range(4)]
    replies = sorted(job.result(timeout=60)[0] for job in jobs)
    assert replies == [f"Turn {turn}. You said: again." for turn in (1, 2, 3, 4)]


def test_calls_without_end_are_refused_and_the_page_goes_on(stage, visit) -> None:
    page = visit(stage.set(EchoBackend(delay_s=0.2)).address)
    talk = client(stage.address)
    jobs = [talk.submit(audio=None, text="again", api_name="/chat") for _ in range(40)]
    page.fill("#box textarea", "and I?")
    page.press("#box textarea", "Enter")
    page.wait_for_selector("#stop:not([disabled])")
    page.click("#stop")
    page.wait_for_selector("#stop[disabled]")
    errors = [job.exception(timeout=120) for job in jobs]
    assert 0 < sum(error is None for error in errors) <= 40
    assert {str(error) for error in errors if error} == {BUSY}


def test_a_call_that_names_no_client_has_no_history(stage) -> None:
    for _ in range(2):
        url = f"{stage.address}gradio_api/call/chat"
        begun = httpx.post(url, json={"data": [None, "hello"]}).raise_for_status().json()
        told = httpx.get(f"{url}/{begun['event_id']}", timeout=60).text
        assert "Turn 1. You said: hello." in told


def test_errors_are_the_sentence_and_change_nothing(stage, tmp_path: Path) -> None:
    talk = client(stage.address)
    talk.predict(audio=None, text="one", api_name="/chat")
    with pytest.raises(AppError, match="send one of them"):
        talk.predict(audio=None, text="  ", api_name="/chat")
    for number, content in enumerate((b"", b"no sound" * 50, b"RIFF\xff\xff\xff\xffWAVEfmt ")):
        bad = tmp_path / f"bad{number}.wav"
        bad.write_bytes(content)
        with pytest.raises(AppError) as raised:
            talk.predict(audio=handle_file(bad), text="", api_name="/chat")
        assert "Traceback" not in str(raised.value)
        assert len(str(raised.value)) > 20
    assert talk.predict(audio=None, text="two", api_name="/chat")[0].startswith("Turn 2.")


def test_a_failing_model_then_the_next_turn(stage) -> None:
    talk = client(stage.set(BrokenBackend(times=1)).address)
    with pytest.raises(AppError, match="broke on purpose"):
        talk.predict(audio=None, text="one", api_name="/chat")
    assert talk.predict(audio=None, text="two", api_name="/chat")[0].startswith("Turn 1.")


def test_a_failing_voice_gives_the_text_alone(stage) -> None:
    reply, speech, _ = client(stage.set(voice=BrokenVoice()).address).predict(
        audio=None, text="one", api_name="/chat"
    )
    assert (reply, speech) == ("Turn 1. You said: one.", None)


def test_it_waits_while_the_model_loads_and_says_why_it_cannot(serve) -> None:
    ready = threading.Event()

    def slow(_name, _progress):
        ready.wait(30)
        return EchoBackend()

    job = client(serve(slow)).submit(audio=None, text="early", api_name="/chat")
    ready.set()
    assert job.result(timeout=60)[0] == "Turn 1. You said: early."

    def failing(_name, _progress):
        raise ModelError("No network, and nothing cached.")

    with pytest.raises(AppError, match="nothing cached"):
        client(serve(failing)).predict(audio=None, text="hi", api_name="/chat")


def test_the_doors_beside_the_queue_are_closed(stage) -> None:
    import httpx

    address = stage.address
    body = {"data": [None, "hi"], "session_hash": "x"}
    assert httpx.post(f"{address}gradio_api/run/chat", json=body).status_code >= 400
    assert httpx.get(f"{address}gradio_api/file=/etc/passwd").status_code in (403, 404)
    assert httpx.get(f"{address}monitoring").status_code >= 400
    big = {"files": ("big.wav", b"0" * 126_000_000)}
    assert httpx.post(f"{address}gradio_api/upload", files=big).status_code == 413
