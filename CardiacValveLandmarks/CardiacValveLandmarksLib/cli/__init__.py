"""The command line `cardiac-valve-landmarks`, short `cvl`. Each command is a module of this package with
`add_parser(subparsers)`, which sets `run`, a function of the parsed arguments that returns the exit status."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence

from .. import __version__
from ..errors import CvlError

#: in the order of the help text
COMMANDS = (
    "demo", "detect", "sax", "study", "batch", "export", "meshmap", "models", "phantom", "train", "finetune",
    "evaluate", "saliency",
)  # fmt: skip


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cvl", description="Heart-valve landmarks, trajectories and annuli from long-axis cine MR."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("--debug", action="store_true", help="show tracebacks of errors")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        importlib.import_module(f".{command}", __name__).add_parser(subparsers)
    return parser


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Being told to end (SIGTERM) is met as Ctrl-C is, so that what is half written is removed."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:  # a host's own way to end
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Exit status: 0 done, 1 a fault of ours, 2 usage, 3 input, 4 model."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a path that the terminal's encoding lacks is no reason to stop
            stream.reconfigure(errors="backslashreplace")
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        parser = build_parser()
        # an unset variable of a script: as a path it would be the working folder
        if empty := [text for text in arguments if not text or (text.startswith("--") and text.endswith("="))]:
            parser.error(f"{empty[0] or 'an argument'} is empty")
        options = parser.parse_args(arguments)
    except SystemExit as stop:  # argparse: 0 after --help, 2 after a usage error
        return int(stop.code or 0)
    return execute(options)


def execute(options: argparse.Namespace) -> int:
    """Run the command of parsed arguments; errors are said on standard error. The exit status."""
    try:
        with _terminable():
            return options.run(options)
    except CvlError as error:
        if options.debug:
            traceback.print_exc()
        print(f"cvl: error: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:  # who reads the output has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor may the flush at the end fail
        return 128 + 13
    except KeyboardInterrupt:
        print("cvl: interrupted", file=sys.stderr)
        return 130
    except Exception as error:  # noqa: BLE001 - the last line of defence: say that it is our fault
        traceback.print_exc()
        print(f"cvl: internal error: {error!r}. Please report this with the text above.", file=sys.stderr)
        return 1
