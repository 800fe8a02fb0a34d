"""Files -> Cine: DICOM series, 4-D NIfTI, NRRD sequences."""

from .result import Scan, Skipped
from .scan import read_cine, scan

__all__ = ["Scan", "Skipped", "read_cine", "scan"]
