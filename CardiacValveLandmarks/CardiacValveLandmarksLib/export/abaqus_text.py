"""The parts of an Abaqus/CalculiX deck that prescribe the motion of nodes, as text.

`*BOUNDARY` with `AMPLITUDE` and no `TYPE` (CalculiX rejects `TYPE=DISPLACEMENT`); amplitudes over total time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: both programs read at most four pairs a line
_PAIRS = 4


def amplitudes(ids: Sequence[int], times: np.ndarray, displacement: np.ndarray, prefix: str) -> str:
    """`*AMPLITUDE` cards: times (T,) s, displacement (T, n, 3) mm. To be placed before the first step."""
    lines = []
    for column, node in enumerate(ids):
        for dof in (1, 2, 3):
            lines.append(f"*AMPLITUDE, NAME={prefix}_{node}_{dof}, TIME=TOTAL TIME")
            pairs = [f"{t:.9e}, {u:.9e}" for t, u in zip(times, displacement[:, column, dof - 1], strict=True)]
            lines += [", ".join(pairs[k : k + _PAIRS]) for k in range(0, len(pairs), _PAIRS)]
    return "\n".join(lines) + "\n"


def boundary(ids: Sequence[int], prefix: str) -> str:
    """`*BOUNDARY` cards that use `amplitudes`. To be placed within the step."""
    lines = []
    for node in ids:
        for dof in (1, 2, 3):
            lines += [f"*BOUNDARY, AMPLITUDE={prefix}_{node}_{dof}", f"{node}, {dof}, {dof}, 1.0"]
    return "\n".join(lines) + "\n"


def id_lines(ids: Sequence[int], per_line: int = 16) -> str:
    """Ids for the data lines of `*NSET`."""
    return "\n".join(", ".join(map(str, ids[k : k + per_line])) for k in range(0, len(ids), per_line)) + "\n"
