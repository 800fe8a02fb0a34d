"""One DICOM file -> what is needed of each of its frames, without the pixels.

Classic MR images (one frame a file) and enhanced multi-frame ones (PS3.3 C.7.6.16) look alike from here on.
"""

from __future__ import annotations

import contextlib
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np

from ..errors import InputError

MR_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.4": "MR Image Storage",
    "1.2.840.10008.5.1.4.1.1.4.1": "Enhanced MR Image Storage",
    "1.2.840.10008.5.1.4.1.1.4.4": "Legacy Converted Enhanced MR Image Storage",
}
#: bytes that tell a DICOM file
PREAMBLE = 132
_DICOMDIR = "1.2.840.10008.1.3.10"
_DEFLATED = "1.2.840.10008.1.2.1.99"

#: where an enhanced image keeps what a classic one has at the top
_FUNCTIONAL_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "NominalCardiacTriggerDelayTime": "CardiacSynchronizationSequence",
    "ActualCardiacTriggerDelayTime": "CardiacSynchronizationSequence",
    "NominalPercentageOfCardiacPhase": "CardiacSynchronizationSequence",
    "RRIntervalTimeNominal": "CardiacSynchronizationSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "FrameReferenceDateTime": "FrameContentSequence",
    "FrameAcquisitionDateTime": "FrameContentSequence",
    "FrameType": "MRImageFrameTypeSequence",
    "ComplexImageComponent": "MRImageFrameTypeSequence",
    "EffectiveEchoTime": "MREchoSequence",
}
_NUMBERS = (
    "TriggerTime",
    "NominalCardiacTriggerDelayTime",
    "ActualCardiacTriggerDelayTime",
    "NominalPercentageOfCardiacPhase",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
)
_CLOCKS = (
    "FrameReferenceDateTime",
    "FrameAcquisitionDateTime",
    "AcquisitionDateTime",
    "AcquisitionTime",
    "ContentTime",
)
_CYCLE = ("NominalInterval", "RRIntervalTimeNominal", "HeartRate")
_FACTS = (
    *("MagneticFieldStrength", "RepetitionTime", "EchoTime", "FlipAngle", "SliceLocation", "SeriesNumber"),
    "CardiacNumberOfImages",
)
_WORDS = ("Manufacturer", "ManufacturerModelName", "SeriesDescription", "SequenceName")
#: where a legacy converted enhanced image (PS3.3 C.7.6.16.2.25) keeps what has no group of its own
_CONVERTED = (
    "UnassignedPerFrameConvertedAttributesSequence",
    "UnassignedSharedConvertedAttributesSequence",
)
#: ImageType words (after the first two) and ComplexImageComponent values of what is no magnitude image
_NOT_MAGNITUDE = {"P", "R", "I", "PHASE", "REAL", "IMAGINARY", "PHASE MAP", "PHASE_MAP", "VELOCITY", "VELOCITY MAP"}
#: GE's own element that tells phase from magnitude, who owns its block, and what its values mean
_GE_OWNER, _GE_COMPONENT = 0x00430010, 0x0043102F
_GE_COMPONENTS = {1: "PHASE", 2: "REAL", 3: "IMAGINARY"}
#: what the pixels need to be decoded
PIXEL_ATTRIBUTES = (
    *("SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PlanarConfiguration"),
)
_HEADER = (
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"),
    *("FrameOfReferenceUID", "Modality", "ImageType", "AcquisitionNumber", "EchoNumbers", "TemporalResolution"),
    *("PatientID", "PatientBirthDate", "PatientName"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *PIXEL_ATTRIBUTES,
    *_FUNCTIONAL_GROUPS,
    *_NUMBERS,
    *_CLOCKS,
    *_CYCLE,
    *_FACTS,
    *_WORDS,
    *(_GE_OWNER, _GE_COMPONENT),
)
#: what pydicom raises on files that are cut off or damaged
PARSE_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    NotImplementedError,
    RuntimeError,
    StopIteration,
    struct.error,
    zlib.error,
)


class Damaged(InputError):
    """A file that is DICOM but cut off or unreadable. series_uid is "" where it could not be told."""

    def __init__(self, path: Path, found: str, series_uid: str = "") -> None:
        super().__init__(path, "a whole DICOM image", found, "Copy or export the file again.")
        self.series_uid = series_uid


class NotCine(InputError):
    """A sound DICOM file that is no MR image; series_uid lets a report count files by series."""

    def __init__(self, path: Path, expected: str, found: str, series_uid: str, advice: str = "") -> None:
        super().__init__(path, expected, found, advice)
        self.series_uid = series_uid


@dataclass(frozen=True)
class Frame:
    """One image: where it is, when it is, and how its stored values become intensities.

    position (3,) LPS mm of the first pixel's centre; orientation (6,) direction cosines along a row, then along a
    column; spacing (2,) mm between rows, then between columns: all as in DICOM, None where not stated.
    times: candidates for the order, by attribute; ms for trigger times and clocks, counts and percent otherwise.
    cycle: what is stated of the heart cycle, by attribute. facts: numbers and words for reports.
    """

    path: Path
    index: int
    instance_uid: str
    series_uid: str
    study_uid: str
    frame_of_reference_uid: str
    patient: tuple[str, str, str]
    shape: tuple[int, int]
    position: np.ndarray | None
    orientation: np.ndarray | None
    spacing: np.ndarray | None
    thickness: float
    times: dict[str, float]
    cycle: dict[str, float]
    temporal_resolution: float | None
    image_type: tuple[str, ...]
    echo: str
    acquisition: str
    slope: float
    intercept: float
    inverted: bool
    facts: dict[str, str | float] = field(default_factory=dict)

    @property
    def no_magnitude(self) -> tuple[str, ...]:
        """What of its type says that it is a phase or complex image; () of a magnitude image."""
        return tuple(sorted({word.upper() for word in self.image_type[2:]} & _NOT_MAGNITUDE))


def is_dicom(head: bytes) -> bool:
    """Whether a file's first PREAMBLE bytes are those of a DICOM file, with or without the preamble."""
    if head[128:132] == b"DICM":
        return True
    # old exports begin with the data set itself: group 0008, or 0002, low element numbers
    return len(head) >= 8 and head[0] in (2, 8) and head[1] == 0 and head[2] < 0x20 and head[3] == 0


def read_headers(path: Path) -> list[Frame]:
    """The frames of a DICOM file, without pixels. Damaged for a file cut off; NotCine for what is no MR image;
    an empty list for a DICOMDIR."""
    import pydicom
    from pydicom.uid import UID

    try:
        with path.open("rb") as stream, quiet():
            head = stream.read(PREAMBLE)
            stream.seek(0)
            if not is_dicom(head):
                if len(head) == PREAMBLE:
                    raise NotCine(path, "a DICOM file", "something else under its name", "")
                raise Damaged(path, f"{len(head)} bytes" if head else "an empty file")
            data = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=list(_HEADER), force=True)
            # less what goes before the pixels themselves: tag, representation, length
            rest: float = path.stat().st_size - stream.tell() - (8 if is_implicit(data) else 12)
            series_uid = _series_uid(data)
            sop_class = UID(str(data.get("SOPClassUID") or data.file_meta.get("MediaStorageSOPClassUID") or ""))
            syntax = UID(str(data.file_meta.get("TransferSyntaxUID") or ""))
            if syntax == _DEFLATED:  # what is left cannot be told from the size of the file
                rest = float("inf")
    except InputError:
        raise
    except PARSE_ERRORS as error:
        raise Damaged(path, f"a file that cannot be read as DICOM ({first_line(error)})") from error
    if sop_class == _DICOMDIR:
        return []
    if not sop_class and not data:
        raise Damaged(path, "no data after the DICOM preamble")
    modality = str(data.get("Modality") or "")
    if sop_class not in MR_CLASSES and (sop_class or modality != "MR"):
        name = sop_class.name if sop_class else "no SOP class"
        raise NotCine(path, "MR images", f"{name}, modality {modality or 'not stated'}", series_uid)
    if "Rows" not in data or "Columns" not in data or rest <= 0:
        raise Damaged(path, "no pixel data (a file cut off, or not an image)", series_uid)
    try:
        with quiet():
            frames = _frames(path, data, series_uid)
    except InputError:
        raise
    except PARSE_ERRORS as error:
        raise Damaged(path, f"attributes that cannot be read ({first_line(error)})", series_uid) from error
    native = not syntax or not syntax.is_compressed
    needed = len(frames) * frames[0].shape[0] * frames[0].shape[1] * int(data.get("BitsAllocated", 16)) // 8
    if native and rest < needed:
        raise Damaged(path, f"{int(rest)} bytes of pixel data instead of {needed} (the file is cut off)", series_uid)
    return frames


def is_implicit(data) -> bool:
    return data.original_encoding[0] if hasattr(data, "original_encoding") else data.is_implicit_VR  # pydicom 3, 2


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """pydicom warns of every value that breaks a rule of its representation; anonymised files are full of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def _series_uid(data) -> str:
    # in a file cut off within the UID, the UID is a part of the real one: trust it when something follows
    follows = any(tag > 0x0020000E for tag in data.keys())  # noqa: SIM118 - iterating would read the values
    return str(data.get("SeriesInstanceUID") or "") if follows else ""


def _frames(path: Path, data, series_uid: str) -> list[Frame]:
    samples = int(data.get("SamplesPerPixel", 1) or 1)
    if samples != 1:
        raise NotCine(path, "grey images", f"{samples} samples a pixel (colour)", series_uid)
    count = int(data.get("NumberOfFrames", 1) or 1)
    shared = list(data.get("SharedFunctionalGroupsSequence") or ())
    each = list(data.get("PerFrameFunctionalGroupsSequence") or ())
    if each and len(each) != count:
        raise Damaged(path, f"{len(each)} per-frame descriptions of {count} frames", series_uid)

    def text(name: str) -> str:
        value = data.get(name)
        return "" if value is None else str(value).strip()

    patient = (text("PatientID"), text("PatientBirthDate"), text("PatientName"))
    frames = []
    for index in range(count):
        places = ([each[index]] if each else []) + shared[:1]
        image_type = _value(data, places, "FrameType") or data.get("ImageType") or ()
        component = str(_value(data, places, "ComplexImageComponent") or _ge_component(data))
        numbers = {name: _number(_value(data, places, name)) for name in (*_NUMBERS, *_CYCLE)}
        clocks = {name: _clock(_value(data, places, name)) for name in _CLOCKS}
        facts = {name: _fact(_value(data, places, name)) for name in _FACTS} | {name: text(name) for name in _WORDS}
        times = {name: numbers[name] for name in _NUMBERS} | clocks
        thickness = _number(_value(data, places, "SliceThickness"))
        slope = _number(_value(data, places, "RescaleSlope"))
        intercept = _number(_value(data, places, "RescaleIntercept"))
        frames.append(
            Frame(
                path=path,
                index=index,
                instance_uid=text("SOPInstanceUID"),
                series_uid=series_uid,
                study_uid=text("StudyInstanceUID"),
                frame_of_reference_uid=text("FrameOfReferenceUID"),
                patient=patient,
                shape=(int(data.Rows), int(data.Columns)),
                position=_vector(_value(data, places, "ImagePositionPatient"), 3),
                orientation=_vector(_value(data, places, "ImageOrientationPatient"), 6),
                spacing=_spacing(_value(data, places, "PixelSpacing")),
                thickness=float("nan") if thickness is None else thickness,
                times={name: value for name, value in times.items() if value is not None},
                cycle={name: numbers[name] for name in _CYCLE if numbers[name]},
                temporal_resolution=_above_0(_number(_value(data, places, "TemporalResolution"))),
                image_type=(*(str(part) for part in _listed(image_type)), component),
                echo=str(_value(data, places, "EffectiveEchoTime") or _value(data, places, "EchoNumbers") or ""),
                acquisition=str(_value(data, places, "AcquisitionNumber") or ""),
                slope=1.0 if slope is None else slope,
                intercept=0.0 if intercept is None else intercept,
                inverted=text("PhotometricInterpretation") == "MONOCHROME1",
                facts={name: value for name, value in facts.items() if value not in (None, "")},
            )
        )
    return frames


def _value(data, places: Sequence, name: str):
    """A value of one frame: from its own functional groups, the shared ones, or the top."""
    groups = (_FUNCTIONAL_GROUPS[name], *_CONVERTED) if name in _FUNCTIONAL_GROUPS else _CONVERTED
    for place in places:
        for group in groups:
            items = place.get(group)
            if items and items[0].get(name) not in (None, ""):
                return items[0].get(name)
    try:
        return data.get(name)
    except (TypeError, ValueError):
        # not what its representation allows, such as an integer string with a decimal point: as it stands
        return data.get_item(name).value.decode("ascii", "replace").strip("\0 ")


def _ge_component(data) -> str:
    """What GE says of an image that is no magnitude; "" for all others."""
    if str(data[_GE_OWNER].value if _GE_OWNER in data else "").strip() != "GEMS_PARM_01" or _GE_COMPONENT not in data:
        return ""
    value = data[_GE_COMPONENT].value
    value = int.from_bytes(value, "little") if isinstance(value, bytes) else _fact(value)  # its type may not be stated
    return _GE_COMPONENTS.get(value, "")


def _above_0(number: float | None) -> float | None:
    return number if number is not None and number > 0 else None


def _listed(value) -> Sequence:
    return [value] if isinstance(value, str) else list(value)


def _fact(value) -> float | None:
    """A number for reports: one that cannot be read is left out."""
    with contextlib.suppress(TypeError, ValueError):
        return _number(value)
    return None


def _number(value) -> float | None:
    if value is None or str(value).strip() == "":
        return None
    number = float(_listed(value)[0] if not isinstance(value, (int, float)) else value)
    return number if np.isfinite(number) else None


def _vector(value, length: int) -> np.ndarray | None:
    if value is None or value == "" or len(value) == 0:
        return None
    vector = np.array([float(part) for part in value])
    if vector.shape != (length,) or not np.isfinite(vector).all():
        raise ValueError(f"expected {length} finite numbers, found {value}")
    return vector


def _spacing(value) -> np.ndarray | None:
    vector = _vector(value, 2)
    if vector is not None and (vector <= 0).any():  # a sign would mirror the image
        raise ValueError(f"PixelSpacing: expected two numbers above 0, found {value}")
    return vector


def _clock(value) -> float | None:
    """DICOM time (HHMMSS.f) or date and time (YYYYMMDDHHMMSS.f&ZZXX) in ms."""
    text = str(value or "").strip().replace(":", "")
    whole, _, fraction = text.split("+")[0].split("-")[0].partition(".")
    if not whole.isdigit() or len(whole) not in (6, 14):
        return None
    try:
        start = datetime.strptime(whole, "%H%M%S" if len(whole) == 6 else "%Y%m%d%H%M%S")
    except ValueError:  # an anonymiser's invention
        return None
    seconds = (start - datetime(1900, 1, 1)).total_seconds()
    return 1000 * (seconds + float(f"0.{fraction}" if fraction.isdigit() else 0))
