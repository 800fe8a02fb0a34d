"""What the panel remembers, kept in the scene."""

from typing import Annotated

from slicer import vtkMRMLSequenceNode
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from ..correction import DEFAULT_SPREAD


@parameterNodeWrapper
class Parameters:
    """The panel's choices. Widgets of the same SlicerParameterName show and set them."""

    cine2CH: vtkMRMLSequenceNode
    cine3CH: vtkMRMLSequenceNode
    cine4CH: vtkMRMLSequenceNode
    #: id of the model; the list of models changes, so its box is not tied to this by name
    model: str = "phantom-heatmap"
    #: where it runs, as `detection.detect` takes it
    device: str = "auto"
    keepManual: bool = True
    spread: Annotated[int, WithinRange(0, 30)] = DEFAULT_SPREAD
    mitral: bool = True
    tricuspid: bool = True
    aortic: bool = False
    liveMeasures: bool = True
    exportCsv: bool = True
    exportJson: bool = True
    exportNpz: bool = False
    exportVtk: bool = True
    exportVtkhdf: bool = False
    exportFebio: bool = True
    exportAbaqus: bool = False
    exportBivme: bool = False
    exportDicomSr: bool = False
    exportFolder: str = ""
