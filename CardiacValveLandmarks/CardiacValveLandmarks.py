"""Cardiac Valve Landmarks: the Slicer module. What it does is in CardiacValveLandmarksLib; this file only names it."""

import unittest

import slicer
from CardiacValveLandmarksLib.mrml.logic import StudyLogic
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

#: the oldest Slicer this module is made for (Python 3.12, NumPy 2)
MINIMUM_SLICER = (5, 10)


class CardiacValveLandmarks(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Cardiac Valve Landmarks")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Cardiac")]
        parent.dependencies = ["Sequences", "Markups"]
        parent.contributors = ["The Cardiac Valve Landmarks contributors"]
        parent.helpText = _(
            "Finds the insertion points of the mitral, aortic and tricuspid valves on long-axis cine MR, lets you "
            "correct them frame by frame, and turns them into moving annuli, measures and files for finite-element "
            "models. For research only; not a medical device."
        )
        parent.acknowledgementText = _(
            "Landmark network and published weights: Kerfoot E, King CE, Ismail T, Nordsletten D, Miller R. "
            "Estimation of cardiac valve annuli motion with deep learning. STACOM 2020. "
            "Heat-map detection: Xue H, Artico J, Fontana M, Moon JC, Davies RH, Kellman P. Landmark detection in "
            "cardiac MRI by using a convolutional neural network. Radiology: Artificial Intelligence 2021."
        )
        slicer.app.startupCompleted.connect(registerSampleData)


class CardiacValveLandmarksWidget(ScriptedLoadableModuleWidget):
    """The panel; built by CardiacValveLandmarksLib.widget when it is first opened."""

    def __init__(self, parent=None) -> None:
        self.panel = None  # first: without a parent the next line sets up already
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        running = (slicer.app.majorVersion, slicer.app.minorVersion)
        if running < MINIMUM_SLICER:
            import qt

            text = _("Cardiac Valve Landmarks needs Slicer {needed} or later; this is {running}.")
            words = {"needed": ".".join(map(str, MINIMUM_SLICER)), "running": ".".join(map(str, running))}
            self.layout.addWidget(qt.QLabel(text.format(**words)))
            return
        from CardiacValveLandmarksLib.widget.panel import Panel

        self.logic = CardiacValveLandmarksLogic()
        self.panel = Panel(self, self.logic)
        # "Reload" sets the module up anew while it is open, and does not enter it again
        entered = getattr(self.parent, "isEntered", False)
        if entered() if callable(entered) else entered:
            self.panel.enter()

    def enter(self) -> None:
        if self.panel is not None:
            self.panel.enter()

    def exit(self) -> None:
        if self.panel is not None:
            self.panel.exit()

    def cleanup(self) -> None:
        if self.panel is not None:
            self.panel.cleanup()
            self.logic.cleanup()


class CardiacValveLandmarksLogic(StudyLogic, ScriptedLoadableModuleLogic):
    """The console API, documented in `StudyLogic`; works without the panel and without a window.

    >>> logic = CardiacValveLandmarksLogic()                     # doctest: +SKIP
    >>> nodes = logic.detect(logic.loadFolder("/data/patient"))  # doctest: +SKIP
    >>> logic.doubtful()[:1]                                     # doctest: +SKIP
    [('4CH', 3, 6, '4.1 mm off its smooth path')]
    """

    def __init__(self, parent=None, detector=None) -> None:
        ScriptedLoadableModuleLogic.__init__(self, parent)
        StudyLogic.__init__(self, detector)


def registerSampleData() -> None:
    """Add the two samples to Slicer's Sample Data module. Nothing is fetched or made before one is asked for."""
    from CardiacValveLandmarksLib.mrml.sample_data import register

    register()


class CardiacValveLandmarksTest(ScriptedLoadableModuleTest):
    """The module tested inside Slicer, with no network and no window: CTest, or "Reload and Test"."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear(0)

    def runTest(self) -> None:
        from CardiacValveLandmarksLib.mrml.selftest import SelfTest

        self.setUp()
        result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(SelfTest))
        self.assertTrue(result.testsRun > 0 and result.wasSuccessful(), "see the messages above")
