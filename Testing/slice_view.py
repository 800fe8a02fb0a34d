"""A Slicer slice view rendered off the screen: the real displayable managers, with mouse events one by one."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import slicer
import vtk

_numbers = itertools.count()


class SliceView:
    """One slice view on a volume: turned to its plane, fitted, showing markups, and draggable.

    Raises RuntimeError where nothing can be rendered (no EGL, OSMesa or X).
    """

    def __init__(self, application, volume, size: tuple[int, int] = (400, 400)) -> None:
        self.scene = application.scene
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application.application_logic)
        self.logic.SetMRMLScene(self.scene)
        # a name of its own: managers of an earlier view would answer to the same one
        self.node = self.logic.AddSliceNode(f"Offscreen{next(_numbers)}")
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        if not self.window.SupportsOpenGL():
            raise RuntimeError("no off-screen rendering here (install libegl1 and libgl1-mesa-dri)")
        # the image is drawn by Slicer's Qt view; here an actor of our own shows what the slice logic made
        self._image = vtk.vtkImageMapper()
        self._image.SetColorWindow(255)
        self._image.SetColorLevel(127.5)
        self._image.SetInputConnection(self.logic.GetImageDataConnection())
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(self._image)
        self._actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(self._actor)
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(application.application_logic)
        for manager in ("vtkMRMLMarkupsDisplayableManager",):
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self.interactor = vtk.vtkGenericRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.group = slicer.vtkMRMLDisplayableManagerGroup()
        self.group.Initialize(factory, self.renderer)
        self.style = slicer.vtkMRMLSliceViewInteractorStyle()
        self.style.SetDisplayableManagers(self.group)
        self.style.SetSliceLogic(self.logic)
        # VTK's own default style would take the mouse as well
        self.interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self.style.SetInteractor(self.interactor)
        self.interactor.Initialize()
        self.group.SetMRMLDisplayableNode(self.node)
        self.node.SetDimensions(*size, 1)
        self.show(volume)

    def show(self, volume) -> None:
        """Put a volume into the view: its plane, fitted."""
        self.logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
        self.node.RotateToVolumePlane(volume)
        self.logic.FitSliceToAll()
        self.logic.SnapSliceOffsetToIJK()
        self.render()

    def render(self) -> None:
        connection = self.logic.GetImageDataConnection()
        if connection is not None:
            self._image.SetInputConnection(connection)
        self.window.Render()

    def screenshot(self, path: Path | str) -> None:
        self.render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        writer = vtk.vtkPNGWriter()
        writer.SetFileName(str(path))
        writer.SetInputConnection(grab.GetOutputPort())
        writer.Write()

    def to_display(self, ras) -> np.ndarray:
        """RAS mm -> (2,) display pixels from the lower left corner."""
        matrix = vtk.vtkMatrix4x4()
        matrix.DeepCopy(self.node.GetXYToRAS())
        matrix.Invert()
        return np.array(matrix.MultiplyPoint([*ras, 1.0])[:2])

    def to_ras(self, display) -> np.ndarray:
        """(2,) display pixels -> (3,) RAS mm in the slice plane."""
        return np.array(self.node.GetXYToRAS().MultiplyPoint([*display, 0.0, 1.0])[:3])

    def _at(self, display) -> None:
        x, y = (round(float(v)) for v in display)
        self.interactor.SetEventInformation(x, y, 0, 0, chr(0), 0, None)

    def hover(self, display) -> None:
        """Move the mouse there: a point must be hovered over before it can be taken hold of."""
        self.render()  # what is to be taken hold of must have been drawn where it is now
        self._at(display)
        self.interactor.InvokeEvent("EnterEvent")
        for offset in (3, 2, 1, 0):
            self._at(np.asarray(display) + offset)
            self.interactor.InvokeEvent("MouseMoveEvent")

    def press(self, display) -> None:
        self._at(display)
        self.interactor.InvokeEvent("LeftButtonPressEvent")

    def move(self, display) -> None:
        self._at(display)
        self.interactor.InvokeEvent("MouseMoveEvent")

    def release(self, display) -> None:
        self._at(display)
        self.interactor.InvokeEvent("LeftButtonReleaseEvent")

    def drag(self, start, end, steps: int = 8) -> None:
        """A whole drag from one display position to another."""
        start, end = np.asarray(start, float), np.asarray(end, float)
        self.hover(start)
        self.press(start)
        for step in range(1, steps + 1):
            self.move(start + (end - start) * step / steps)
        self.release(end)

    def close(self) -> None:
        """Give the managers and the window back, in the order that leaves no dangling observer."""
        self.group.SetMRMLDisplayableNode(None)
        self.style.SetInteractor(None)
        self.window.Finalize()
