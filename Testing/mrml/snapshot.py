"""What the scene holds of a study's landmarks, to the last bit: for "nothing else changed"."""

import numpy as np


def scene_of(logic) -> dict:
    """(view, frame) -> everything stored there, and what each browser shows."""
    held = {}
    for view in logic.views():
        nodes = logic._current().view(view).nodes
        for frame in range(nodes.sequence.GetNumberOfDataNodes()):
            held[view, frame] = node_content(nodes.sequence.GetNthDataNode(frame))
        held[view, "shown"] = node_content(nodes.proxy)
    return held


def node_content(node) -> tuple:
    points = tuple(
        (
            node.GetNthControlPointPositionStatus(i),
            tuple(node.GetNthControlPointPosition(i)) if node.GetNthControlPointPositionStatus(i) == 2 else None,
            node.GetNthControlPointLabel(i),
            node.GetNthControlPointDescription(i),
            node.GetNthControlPointVisibility(i),
        )
        for i in range(node.GetNumberOfControlPoints())
    )
    names = sorted(name for name in node.GetAttributeNames() if name.startswith("CardiacValveLandmarks."))
    return points, tuple((name, node.GetAttribute(name)) for name in names)


def stored_positions(logic, view: str) -> np.ndarray:
    """(T, 11, 3) RAS mm as the sequence holds them, NaN where not defined."""
    sequence = logic._current().view(view).nodes.sequence
    positions = np.full((sequence.GetNumberOfDataNodes(), 11, 3), np.nan)
    for frame in range(len(positions)):
        node = sequence.GetNthDataNode(frame)
        for i in range(11):
            if node.GetNthControlPointPositionStatus(i) == node.PositionDefined:
                positions[frame, i] = node.GetNthControlPointPosition(i)
    return positions
