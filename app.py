"""The demo, and the entry of the Hugging Face Space: reads the flags, builds and launches the page.

`python app.py`, then open the address it names.
"""

import argparse
import atexit
import logging
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audiochat.ui.answering import OnGpu

LOOPBACK = ("127.", "localhost", "::1")

_log = logging.getLogger("audiochat")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the flags; what is wrong with them is said in one sentence, with exit status 2."""
    parser = argparse.ArgumentParser(
        description="A page you talk to: ask a question aloud, read and hear the answer."
    )
    host = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    port = os.environ.get("GRADIO_SERVER_PORT")
    add = parser.add_argument
    add("--host", default=host, help="address to listen on; 0.0.0.0 for all (%(default)s)")
    add("--port", type=_port, default=port, help="port (the first free one from 7860 on)")
    add("--share", action="store_true", help="also open a public https address through Gradio")
    add(
        "--auth",
        metavar="USER:PASS",
        type=_user_and_password,
        help="ask for this name and password",
    )
    add("--ssl-certfile", type=_file, help="certificate for https, which microphones need")
    add("--ssl-keyfile", type=_file, help="key of the certificate")
    add("--model", default="embedded", help="name of a model, or the folder of one (%(default)s)")
    add("--voice", default="espeak", help='voice of the reply, or "off" (%(default)s)')
    add("--accept-cpml", action="store_true", help="accept the Coqui licence, which XTTS asks for")
    args = parser.parse_args(argv)
    if bool(args.ssl_certfile) != bool(args.ssl_keyfile):
        parser.error("--ssl-certfile and --ssl-keyfile belong together: give both or none")
    return args


def main(argv: list[str] | None = None) -> int:
    """Serve the page until it is interrupted; returns the exit status."""
    args = parse(argv)
    logging.basicConfig(format="%(message)s")
    _log.setLevel(logging.INFO)
    _prepare_environment()
    on_gpu = _zero_gpu()

    # Imported here: Gradio reads the environment when it is imported, and ZeroGPU must be first.
    from audiochat.backends import check_name, load_backend, names
    from audiochat.errors import AudioChatError
    from audiochat.ui.build import PageOptions, build_page, launch_settings
    from audiochat.ui.examples import example_clips
    from audiochat.voices import engine_of, load_voice

    try:
        check_name(args.model)
        engine_of(args.voice)
    except AudioChatError as error:
        _log.error("%s", error)
        return 2
    models = tuple(dict.fromkeys([args.model, *names()]))
    demo, start_loading = build_page(
        lambda name, progress: load_backend(name, beside=args.model, progress=progress),
        lambda: load_voice(args.voice, accept_cpml=args.accept_cpml),
        PageOptions(models=models, examples=example_clips(), on_gpu=on_gpu),
    )
    _hint_at_https(args)
    try:
        demo.launch(
            server_name=args.host,
            server_port=args.port,
            share=args.share,
            auth=args.auth,
            ssl_certfile=args.ssl_certfile,
            ssl_keyfile=args.ssl_keyfile,
            ssl_verify=False,  # only its own check at start: a self-signed certificate will do
            prevent_thread_lock=True,
            **launch_settings(),
        )
    except OSError:
        port = f"port {args.port}" if args.port else "any port from 7860 on"
        _log.error(
            "The page cannot be served at %s, %s: the port is in use or not for everyone (below "
            "1024), or the address is not this machine's. Give another --port or --host.",
            args.host,
            port,
        )
        return 1
    start_loading()
    demo.block_thread()
    return 0


def _prepare_environment() -> None:
    """Switch telemetry off, and keep the page's sounds in a folder that goes with the program."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["DO_NOT_TRACK"] = "1"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the folder goes then too
    if "GRADIO_TEMP_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="audiochat-")
        os.environ["GRADIO_TEMP_DIR"] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def _zero_gpu() -> "OnGpu | None":
    """Return the decorator that lends a GPU on ZeroGPU Spaces; None everywhere else."""
    try:
        import spaces
    except ImportError:
        return None
    on_gpu: OnGpu = spaces.GPU
    return on_gpu


def _hint_at_https(args: argparse.Namespace) -> None:
    """Say why microphones will be missing, where a browser will refuse them."""
    elsewhere = not args.host.startswith(LOOPBACK)
    if elsewhere and not (args.ssl_certfile or args.share or "SPACE_ID" in os.environ):
        _log.warning(
            "Browsers give a page the microphone only over https or on localhost. Over "
            "http://%s visitors can type and upload, but not record: add --ssl-certfile and "
            "--ssl-keyfile, or --share, or reach this machine through `ssh -L`.",
            args.host,
        )


def _user_and_password(value: str) -> tuple[str, str]:
    user, colon, password = value.partition(":")
    if not (user and colon and password):
        raise argparse.ArgumentTypeError("give a name and a password as USER:PASS")
    return user, password


def _port(value: str) -> int:
    if not (value.isdecimal() and 1 <= int(value[:6]) <= 65_535):
        raise argparse.ArgumentTypeError(f"a port is a number from 1 to 65535, not {value!r}")
    return int(value)


def _file(value: str) -> str:
    if not Path(value).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {value!r}")
    return value


if __name__ == "__main__":
    sys.exit(main())
