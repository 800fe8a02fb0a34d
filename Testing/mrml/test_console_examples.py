"""The examples of docs/console.md, run as they stand."""

import doctest
from pathlib import Path

from CardiacValveLandmarksLib.mrml.cine_nodes import sequence_from_cine
from synthetic import make_cine

PAGE = Path(__file__).resolve().parents[2] / "docs" / "console.md"


def test_the_examples_give_what_the_page_says(logic, detector):
    detector.unsure = {("4CH", 8, 9): 0.1}
    sequences = {view: sequence_from_cine(make_cine(view, 12)) for view in ("2CH", "3CH", "4CH")}
    examples = {"logic": logic, "sequences": sequences}
    result = doctest.testfile(str(PAGE), module_relative=False, globs=examples, encoding="utf-8")
    assert result.attempted > 20 and result.failed == 0
