"""dicom-sr: the measures as a DICOM structured report (TID 1500, Enhanced SR) that belongs to the images' study.

A report in an archive carries the patient and the study of its images, so it is made only when asked to identify,
and takes both from the images themselves.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from ... import __version__
from ...errors import InputError
from ...measure_builder import Measure
from ...readers.dicom_frames import PARSE_ERRORS
from ...study import Study
from ...study_images import find_cines
from ..registry import ExportOptions, Format

#: DICOM: a private coding scheme for the measures' keys
_SCHEME = "99CVL"
_UNITS = {
    "mm": ("mm", "millimeter"),
    "cm/s": ("cm/s", "centimeter per second"),
    "cm²": ("cm2", "square centimeter"),
    "mL": ("mL", "milliliter"),
    "%": ("%", "percent"),
}
#: DICOM LO and SH: code values and meanings end here
_MEANING, _VALUE = 64, 16
#: largest IS
_LARGEST = 2**31 - 1
#: type 2 attributes of patient and study, which anonymised images may lack
_TAKEN_OVER = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)


def _evidence(study: Study, options: ExportOptions) -> list:
    """The images of the study's views, without pixels: of one patient and one DICOM study, the study's own."""
    cines = options.cines or find_cines(study, options.images)
    where = options.images or "study"
    images = [_header(path) for cine in cines.values() for path in cine.files]
    if not images:
        raise InputError(where, "DICOM images", "other files", "The report can belong to DICOM images only.")
    for what in ("StudyInstanceUID", "PatientID", "PatientName"):
        found = {str(image.get(what, "")).strip("^ ").casefold() for image in images}
        if len(found) > 1:
            raise InputError(where, f"images of one {what}", f"{len(found)}", "Give the folder of one study.")
    known = {view.study_uid for view in study.views} - {""}
    if known and images[0].StudyInstanceUID not in known:
        raise InputError(where, "the images the study was made of", "images of another study", "Check --images.")
    return images


def _header(path: str):
    """Header of an image as a report can take it over: in UTF-8, with what the standard wants, empty where unknown."""
    import pydicom

    try:
        # without a preamble too, as they are read
        image = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        image.decode()
    except PARSE_ERRORS as error:
        raise InputError(path, "the DICOM image the study was made of", str(error)) from error
    image.SpecificCharacterSet = "ISO_IR 192"
    for name in _TAKEN_OVER:
        if name not in image:
            setattr(image, name, "")
    return image


def _code(key: str) -> str:
    """At most 16 characters, told apart by a checksum where the key is longer."""
    import zlib

    return key if len(key) <= _VALUE else f"{key[: _VALUE - 9]}_{zlib.crc32(key.encode()):08x}"


def _measurement(measure: Measure):
    import highdicom
    from highdicom.sr import CodedConcept

    words = measure.name + (" (assumed shape)" if measure.assumed else " (approximate)" if measure.approximate else "")
    return highdicom.sr.Measurement(
        name=CodedConcept(_code(measure.key), _SCHEME, words[:_MEANING]),
        value=float(f"{measure.value:.6g}"),
        unit=CodedConcept(_UNITS[measure.unit][0], "UCUM", _UNITS[measure.unit][1]),
    )


def _write(study: Study, folder: Path, options: ExportOptions) -> None:
    import highdicom
    from highdicom.sr import CodedConcept

    images = _evidence(study, options)
    device = highdicom.sr.ObserverContext(
        observer_type=CodedConcept("121007", "DCM", "Device"),
        observer_identifying_attributes=highdicom.sr.DeviceObserverIdentifyingAttributes(
            uid=highdicom.UID(), name="CardiacValveLandmarks", model_name="CardiacValveLandmarks"
        ),
    )
    group = highdicom.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=highdicom.sr.TrackingIdentifier(
            uid=highdicom.UID(), identifier="valve motion from long-axis cine MR"
        ),
        finding_sites=[highdicom.sr.FindingSite(CodedConcept("80891009", "SCT", "Heart"))],
        measurements=[_measurement(m) for m in study.measures if np.isfinite(m.value)],
    )
    report = highdicom.sr.MeasurementReport(
        observation_context=highdicom.sr.ObservationContext(observer_device_context=device),
        procedure_reported=CodedConcept("241620005", "SCT", "MRI of heart"),
        title=CodedConcept("126000", "DCM", "Imaging Measurement Report"),
        imaging_measurements=[group],
    )
    with warnings.catch_warnings():
        # the name is the images': not ours to judge
        warnings.filterwarnings("ignore", message=".*unlikely to represent the intended person name.*")
        data = highdicom.sr.EnhancedSR(
            evidence=images,
            content=report[0],
            series_instance_uid=highdicom.UID(),
            series_number=min(max(int(image.get("SeriesNumber") or 0) for image in images) + 100, _LARGEST),
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer="CardiacValveLandmarks",
            software_versions=__version__,
            series_description="Valve landmarks: measures, not verified"[:_MEANING],
            is_complete=True,
            is_verified=False,
            record_evidence=True,
        )
    # names like e′ are not Latin-1
    data.SpecificCharacterSet = "ISO_IR 192"
    data.save_as(folder / "measures.dcm")


def _unfit(study: Study, options: ExportOptions) -> str:
    if not study.measures:
        return "nothing was measured"
    if options.cines:
        return "" if any(cine.files for cine in options.cines.values()) else "its images are no DICOM files"
    return "" if options.images else "it belongs to the study's DICOM images; give their folder with --images"


FORMAT = Format(
    key="dicom-sr",
    title="DICOM structured report of the measures (TID 1500)",
    write=_write,
    notes=(
        "Names of the measures are codes of a private scheme (99CVL), units are UCUM. The report is unverified; "
        "uncertainties, definitions and doubts are in the other formats, not in the report.",
    ),
    unfit=_unfit,
    modules=("highdicom",),
    extra="dicom-sr",
    needs=("identify",),
)
