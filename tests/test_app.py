"""`app.py`: its flags, its hints, and that it starts and answers as a program."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import app
from audiochat.ui.examples import example_clips

ROOT = Path(app.__file__).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_defaults_are_loopback_and_the_embedded_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_SERVER_NAME", raising=False)
    monkeypatch.delenv("GRADIO_SERVER_PORT", raising=False)
    args = app.parse([])
    assert (args.host, args.port, args.model, args.voice) == (
        "127.0.0.1",
        None,
        "embedded",
        "espeak",
    )


def test_gradios_own_variables_are_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    monkeypatch.setenv("GRADIO_SERVER_PORT", "7999")
    args = app.parse([])
    assert (args.host, args.port) == ("0.0.0.0", 7999)
    assert app.parse(["--port", "8001"]).port == 8001


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--auth", "nobody"], "USER:PASS"),
        (["--ssl-certfile", "nowhere.pem"], "there is no file"),
        (["--ssl-certfile", __file__], "belong together"),
        (["--port", "many"], "--port"),
        (["--port", "99999"], "from 1 to 65535"),
        (["--port", "0"], "from 1 to 65535"),
    ],
)
def test_a_wrong_flag_is_said_with_status_2(flags, sentence, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        app.parse(flags)
    assert stopped.value.code == 2
    assert sentence in capsys.readouterr().err


def test_a_password_may_hold_a_colon() -> None:
    assert app.parse(["--auth", "ann:a:b"]).auth == ("ann", "a:b")


@pytest.mark.parametrize(
    ("flags", "hinted"),
    [
        ([], False),
        (["--host", "0.0.0.0"], True),
        (["--host", "0.0.0.0", "--share"], False),
        (["--host", "0.0.0.0", "--ssl-certfile", __file__, "--ssl-keyfile", __file__], False),
    ],
)
def test_the_hint_at_https(flags, hinted, caplog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_SERVER_NAME", raising=False)
    monkeypatch.delenv("SPACE_ID", raising=False)
    app._hint_at_https(app.parse(flags))
    assert ("microphone only over https" in caplog.text) == hinted


def test_help_loads_neither_gradio_nor_torch() -> None:
    code = "import app, sys; app.parse([]); print({'gradio', 'torch'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_the_examples_are_there_and_small() -> None:
    clips = example_clips()
    assert len(clips) >= 3
    assert all(clip.path.stat().st_size < 100_000 for clip in clips)
    listed = (ROOT / "assets" / "examples" / "README.md").read_text(encoding="utf-8")
    assert all(clip.path.name in listed and clip.words in listed for clip in clips)


@pytest.mark.parametrize(
    ("flags", "status", "sentence"),
    [
        (["--model", "embeded"], 2, "There is no model 'embeded'"),
        (["--voice", "novoice"], 2, "There is no voice 'novoice'"),
        ([], 1, "the port is in use"),
    ],
)
def test_a_page_that_cannot_be_served_ends_with_one_sentence(flags, status, sentence) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            [sys.executable, "app.py", "--port", port, *flags],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert ended.returncode == status
    assert sentence in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_the_program_starts_and_serves_the_page(tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("GRADIO_TEMP_DIR", None)
    program = subprocess.Popen(
        [sys.executable, "-u", "app.py", "--port", str(port), "--voice", "off"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    try:
        assert program.stdout is not None
        for line in program.stdout:
            if re.search(rf"http://127.0.0.1:{port}", line):
                break
        page = httpx.get(f"http://127.0.0.1:{port}/", timeout=60)
        assert page.status_code == 200
        assert "window.audiochat" in page.text
        assert len(list(tmp_path.glob("audiochat-*"))) == 1
    finally:
        program.terminate()
        assert program.wait(60) == 0
    assert list(tmp_path.glob("audiochat-*")) == []
