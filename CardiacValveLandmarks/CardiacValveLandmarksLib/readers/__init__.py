"""Files -> Cine: DICOM series, 4-D NIfTI, NRRD sequences."""

from .dicom import place_of
from .result import Scan, Skipped
from .scan import read_cine, scan

__all__ = ["Scan", "Skipped", "place_of", "read_cine", "scan"]
