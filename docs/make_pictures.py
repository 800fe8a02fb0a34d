"""The documentation's pictures, made from the module's own panel and slice views off the screen.

    python docs/make_pictures.py [folder with a study to try as well]

Needs what the widget tests need (slicer-core, PySide6-Essentials, EGL). Writes docs/pictures/*.png. With a folder, its
pictures go to artefacts/ (git-ignored): they may show a patient's images.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "Testing"), str(ROOT / "CardiacValveLandmarks")]

import numpy as np  # noqa: E402
import slicer_host  # noqa: E402
from PySide6 import QtGui  # noqa: E402

SIZE = 420


class Session:
    """A panel and its three slice views, as a new user has them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.host = slicer_host.install(ROOT / "CardiacValveLandmarks" / "CardiacValveLandmarks.py")
        self.widget = self.host.make_widget()
        self.widget.enter()
        self.panel = self.widget.panel
        self.views = {}
        self.host.process(0.2)

    def wait(self) -> None:
        """Until nothing runs any more, also not what a task starts at its end."""
        if not self.host.process(580, until=lambda: not self.panel.busy):
            raise RuntimeError(f"{self.panel.busy} takes too long")
        self.host.process(0.2)
        print(self.panel.ui.messageLabel.text, flush=True)

    def open_views(self) -> None:
        """The slice views, as Slicer has them from the start."""
        import vtk
        from CardiacValveLandmarksLib.widget.slice_views import PLACES
        from slice_view import SliceView

        logics = vtk.vtkCollection()
        for view in self.panel.study.usable():
            self.views[view] = SliceView(self.host.application, self.panel.proxy(view), (SIZE, SIZE))
            self.views[view].node.SetLayoutName(PLACES[view])
            logics.AddItem(self.views[view].logic)
        self.host.application.application_logic.SetSliceLogics(logics)
        self.panel.study.show_in_views()

    def picture(self, name: str, *sections: str) -> None:
        """The panel, or only some of its sections, one under the other."""
        self.host.process(0.1)
        widgets = [getattr(self.panel.ui, section) for section in sections] or [self.panel.widget]
        self._join([widget.grab() for widget in widgets], vertical=True).save(str(self.folder / f"{name}.png"))

    def images(self, name: str) -> None:
        """The slice views side by side."""
        shots = []
        for view, each in self.views.items():
            path = self.folder / f".{view}.png"
            each.screenshot(path)
            shots.append(QtGui.QPixmap(str(path)))
            path.unlink()
        self._join(shots, vertical=False).save(str(self.folder / f"{name}.png"))

    @staticmethod
    def _join(parts, vertical: bool):
        width = max(p.width() for p in parts) if vertical else sum(p.width() for p in parts)
        height = sum(p.height() for p in parts) if vertical else max(p.height() for p in parts)
        whole = QtGui.QPixmap(width, height)
        whole.fill(QtGui.QColor(255, 255, 255))
        painter, at = QtGui.QPainter(whole), 0
        for part in parts:
            painter.drawPixmap(0 if vertical else at, at if vertical else 0, part)
            at += part.height() if vertical else part.width()
        painter.end()
        return whole

    def close(self) -> None:
        self.host.application.application_logic.SetSliceLogics(None)
        for view in self.views.values():
            view.close()
        self.widget.cleanup()
        self.host.application.end()


def walk(session: Session, start) -> None:
    """From nothing to measures, with a picture at each step."""
    panel, ui = session.panel, session.panel.ui
    session.picture("panel-empty")
    start()
    session.wait()
    ui.findViewsButton.click()
    session.wait()
    session.open_views()
    session.picture("study", "studySection", "modelSection")
    session.images("views-cines")
    ui.detectButton.click()
    session.host.process(580, until=lambda: ui.progressBar.value > 300 or not panel.busy)
    session.picture("detecting", "detectButton", "progressBar", "progressLabel")
    session.wait()
    session.images("views-detected")
    overlay(session)
    ui.measureButton.click()
    session.wait()
    session.picture(".panel-measured")
    session.picture("measures", "measuresSection")
    session.picture("export", "exportSection")


def overlay(session: Session) -> None:
    """A landmark's heat-map over its image, and none again."""
    panel = session.panel
    panel.ui.overlaySelector.setCurrentIndex(1)
    if session.host.process(120, until=lambda: panel.overlay.shown is not None or not panel.overlay.kind):
        session.images("views-heatmap")
    print(panel.ui.messageLabel.text)
    panel.ui.overlaySelector.setCurrentIndex(0)


def correct(session: Session) -> None:
    """The most doubtful point that is there, before and after it is dragged to where its smooth path is."""
    panel, ui = session.panel, session.panel.ui
    if not panel.review.doubts:
        print("nothing is doubtful here")
        return
    for _ in panel.review.doubts:
        ui.nextDoubtfulButton.click()
        view, number = panel.review.selected
        if np.isfinite(panel.logic.landmarks(view)[0][panel.review.frame, number - 1]).all():
            break
    session.picture("review-doubtful", "reviewSection")
    image, frame, data = session.views[view], panel.review.frame, panel.review.data[view]
    geometry = data.cine.geometry
    wanted = geometry.to_patient(data.paths[frame, number - 1]) * [-1, -1, 1]
    image.drag(image.to_display(panel.logic.landmarks(view)[0][frame, number - 1]), image.to_display(wanted))
    session.host.process(0.2)
    session.picture("review-corrected", "reviewSection")


def hard_study() -> list:
    """An unusual heart in poor images, so that there is something to correct."""
    from CardiacValveLandmarksLib.phantom.cines import synthetic_study

    return [item.cine for item in synthetic_study(15, width=2.0, contrast_width=2.4).items]


def main(folders: list[str]) -> None:
    session = Session(ROOT / "docs" / "pictures")
    walk(session, session.panel.ui.syntheticStudyButton.click)
    screenshot = ROOT / "Resources" / "Screenshots"
    screenshot.mkdir(parents=True, exist_ok=True)
    row = QtGui.QPixmap(str(session.folder / "views-detected.png"))
    column = Session._join([row.copy(SIZE * place, 0, SIZE, SIZE) for place in range(3)], vertical=True)
    panel = QtGui.QPixmap(str(session.folder / ".panel-measured.png"))
    Session._join([column, panel], vertical=False).save(str(screenshot / "review.png"))
    (session.folder / ".panel-measured.png").unlink()
    session.close()

    session = Session(ROOT / "docs" / "pictures")
    from CardiacValveLandmarksLib.widget import study_section

    study_section.synthetic_cines = hard_study
    session.panel.ui.syntheticStudyButton.click()
    session.wait()
    session.open_views()
    session.panel.ui.detectButton.click()
    session.wait()
    correct(session)
    session.close()

    for folder in folders:
        session = Session(ROOT / "artefacts" / Path(folder).name)
        walk(session, lambda folder=folder, session=session: session.panel.study.load_folder(folder))
        correct(session)
        session.close()


if __name__ == "__main__":
    main(sys.argv[1:])
