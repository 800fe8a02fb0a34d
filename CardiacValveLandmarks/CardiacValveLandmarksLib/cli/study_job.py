"""`cvl study` with options from standard input, as JSON: how `batch` starts it (batch.run_job)."""

from __future__ import annotations

import json
import sys

from . import build_parser, execute

if __name__ == "__main__":
    given = json.load(sys.stdin)
    options = build_parser().parse_args(["study", given["folder"], "-o", given["output"]])
    vars(options).update(given)
    sys.exit(execute(options))
