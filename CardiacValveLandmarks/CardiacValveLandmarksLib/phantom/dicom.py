"""Cine -> DICOM: one MR Image Storage file a frame, as a scanner would export a retrospectively gated cine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

from .. import __version__
from ..cine import Cine
from ..errors import InputError
from ..files import make_folder

_MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_DATE, _TIME = "20000101", "120000"


def write_dicom(
    cine: Cine,
    folder: str | os.PathLike,
    *,
    series_number: int,
    series_description: str,
    patient_id: str = "SYNTHETIC",
    study_uid: str | None = None,
    frame_of_reference_uid: str | None = None,
    seed: int = 0,
) -> list[Path]:
    """Write the frames of `cine` as IM0001.dcm … in time order; the paths are returned.

    The cine needs geometry and times. Whole numbers from 0 to 65535 are stored as they are; other intensities are
    spread over 16 bits with a rescale slope and intercept. All UIDs follow from `seed`, `patient_id` and
    `series_number` (and the study's from the first two), unless the cine or the arguments give them.
    ValueError for a cine without geometry or times; InputError where a file exists or cannot be written (then none
    is left behind).
    """
    if cine.geometry is None or cine.times_ms is None:
        raise ValueError("a DICOM series needs a cine with geometry and times")
    import pydicom
    from pydicom.uid import generate_uid

    def uid(*parts: object) -> str:
        return str(generate_uid(entropy_srcs=["CardiacValveLandmarks", str(seed), patient_id, *map(str, parts)]))

    stored, slope, intercept = _stored(cine.frames)
    study_uid = study_uid or cine.study_uid or uid("study")
    frame_of_reference_uid = frame_of_reference_uid or cine.frame_of_reference_uid or uid("frame of reference")
    folder = make_folder(folder)
    paths = [folder / f"IM{number:04d}.dcm" for number in range(1, cine.n_frames + 1)]
    existing = [path for path in paths if path.exists()]
    if existing:
        raise InputError(existing[0], "a folder without this series", "a file of that name", "Choose another folder.")
    try:
        # all files or none: they take their names when the last is written
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as temporary:
            for index, path in enumerate(paths):
                data = _dataset(cine, index, stored[index], slope, intercept)
                data.PatientID, data.PatientName = patient_id, "Synthetic^Heart"
                data.StudyInstanceUID, data.FrameOfReferenceUID = study_uid, frame_of_reference_uid
                data.SeriesInstanceUID = uid("series", series_number)
                data.SOPInstanceUID = uid("series", series_number, "frame", index)
                data.SeriesNumber, data.SeriesDescription = series_number, series_description
                data.file_meta = pydicom.dataset.FileMetaDataset()
                data.file_meta.TransferSyntaxUID = _EXPLICIT_LITTLE_ENDIAN
                data.file_meta.MediaStorageSOPClassUID = _MR_IMAGE_STORAGE
                data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
                _save(data, Path(temporary) / path.name)
            for path in paths:
                (Path(temporary) / path.name).replace(path)
    except OSError as error:
        advice = "Free some space or choose another folder."
        raise InputError(folder, "a folder that can be written", str(error), advice) from error
    return paths


def _save(data, path: Path) -> None:
    if hasattr(data, "set_pixel_data"):  # pydicom 3
        data.save_as(path, enforce_file_format=True)
    else:
        data.is_little_endian, data.is_implicit_VR = True, False
        data.save_as(path, write_like_original=False)


def _stored(frames: np.ndarray) -> tuple[np.ndarray, float | None, float | None]:
    """(T, H, W) uint16 stored values, and slope and intercept (None: the values are the intensities)."""
    low, high = float(frames.min()), float(frames.max())
    if low >= 0 and high <= 65535 and (frames == np.round(frames)).all():
        return frames.astype(np.uint16), None, None
    slope = (high - low) / 65535 or 1.0
    # as it will be read: with the number of digits that DICOM allows
    slope, intercept = float(_decimal(slope)), float(_decimal(low))
    return (
        np.clip(np.round((frames.astype(np.float64) - intercept) / slope), 0, 65535).astype(np.uint16),
        slope,
        intercept,
    )


def _decimal(value: float) -> str:
    """The nearest decimal string of at most 16 characters."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value))


def _dataset(cine: Cine, index: int, pixels: np.ndarray, slope: float | None, intercept: float | None):
    import pydicom

    geometry, (row_step, column_step) = cine.geometry, cine.geometry.spacing
    along_column, along_row = geometry.directions
    data = pydicom.Dataset()
    data.SOPClassUID = _MR_IMAGE_STORAGE
    data.PatientBirthDate = data.PatientSex = ""
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = _DATE
    data.StudyTime = data.SeriesTime = data.AcquisitionTime = data.ContentTime = _TIME
    data.ReferringPhysicianName = data.AccessionNumber = ""
    data.StudyID, data.StudyDescription, data.BodyPartExamined = "1", "Synthetic beating heart", "HEART"
    data.Modality, data.PatientPosition, data.PositionReferenceIndicator = "MR", "HFS", ""
    data.Manufacturer, data.ManufacturerModelName = "CardiacValveLandmarks", "synthetic heart"
    data.SoftwareVersions, data.InstanceNumber = __version__, index + 1
    data.ImageComments = "Synthetic image, not a patient"
    data.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    data.ScanningSequence, data.SequenceVariant, data.ScanOptions = "GR", ["SS", "OSP"], "CG"
    data.MRAcquisitionType, data.EchoTrainLength = "2D", 1
    data.RepetitionTime, data.EchoTime = "", ""
    if "field_strength" in cine.attributes:
        data.MagneticFieldStrength = _decimal(float(cine.attributes["field_strength"]))
    data.TriggerTime = _decimal(cine.times_ms[index])
    data.CardiacNumberOfImages = cine.n_frames
    if cine.rr_ms is not None:
        data.NominalInterval = round(cine.rr_ms)
    data.SliceThickness = _decimal(geometry.thickness) if np.isfinite(geometry.thickness) else ""
    data.ImagePositionPatient = [_decimal(value) for value in geometry.origin]
    data.ImageOrientationPatient = [_decimal(value) for value in (*along_row, *along_column)]
    data.PixelSpacing = [_decimal(row_step), _decimal(column_step)]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    low, high = float(cine.frames.min()), float(cine.frames.max())
    data.WindowCenter, data.WindowWidth = _decimal((low + high) / 2), _decimal(max(high - low, 1.0))
    if slope is not None:
        data.RescaleSlope, data.RescaleIntercept, data.RescaleType = _decimal(slope), _decimal(intercept), "US"
    data.add_new("PixelData", "OW", np.ascontiguousarray(pixels, dtype="<u2").tobytes())
    return data
