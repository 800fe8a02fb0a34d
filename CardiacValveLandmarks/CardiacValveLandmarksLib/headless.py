"""The command line inside Slicer, without a window:

    Slicer --no-main-window --python-script …/CardiacValveLandmarksLib/headless.py -- study FOLDER -o DIR

Arguments and exit statuses are those of `cvl`. Slicer neither ends nor sets its status by itself when a script fails,
so this one always exits, and it opens no dialog: nothing would ever answer it.
"""

import sys
import traceback
from pathlib import Path


def run(arguments: list[str]) -> int:
    """The exit status of `cvl` with these arguments; a leading "--" (Slicer's own separator) is dropped."""
    arguments = arguments[1:] if arguments[:1] == ["--"] else arguments
    try:
        from CardiacValveLandmarksLib import cli

        return cli.main(arguments)
    except BaseException:  # noqa: BLE001 - whatever it is, Slicer must end with a status that says so
        traceback.print_exc()
        return 1


def main() -> None:
    library = str(Path(__file__).resolve().parents[1])
    if library not in sys.path:
        sys.path.insert(0, library)
    import slicer

    sequences = getattr(slicer.modules, "sequences", None)
    if hasattr(sequences, "autoShowToolBar"):
        sequences.autoShowToolBar = False
    status = run(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    slicer.util.exit(status)


if __name__ == "__main__":
    main()
