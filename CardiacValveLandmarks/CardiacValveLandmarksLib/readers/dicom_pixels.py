"""The stored pixel values of a DICOM file, decompressed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError
from .dicom_frames import PARSE_ERRORS, PIXEL_ATTRIBUTES, Damaged, first_line, is_implicit, quiet

_WANTED = (
    *PIXEL_ATTRIBUTES,
    *("RescaleSlope", "RescaleIntercept"),
    *("PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
)

#: the marker that ends every JPEG and JPEG-LS image
_END_OF_IMAGE = b"\xff\xd9"
#: bytes from the end in which it must be: encoders pad, with zeros and others
_PADDING = 10


def read_pixels(path: Path) -> np.ndarray:
    """(N, H, W) stored values, before rescaling. Damaged where they are not whole, InputError where a decoder is
    missing.

    Compressed files are decoded by pydicom where it has a decoder for their transfer syntax, else (single images)
    by the GDCM that SimpleITK carries.
    """
    import pydicom

    try:
        with quiet():
            data = pydicom.dcmread(path, specific_tags=list(_WANTED), force=True)
            syntax = data.file_meta.get("TransferSyntaxUID")
            if syntax is None:  # no preamble: the encoding was guessed
                name = "ImplicitVRLittleEndian" if is_implicit(data) else "ExplicitVRLittleEndian"
                data.file_meta.TransferSyntaxUID = syntax = getattr(pydicom.uid, name)
            _check_ends(path, data, syntax)
            if syntax.is_compressed and not _can_decode(syntax):
                pixels = _decode_with_gdcm(path, data, syntax)
            else:
                pixels = data.pixel_array
    except InputError:
        raise
    except PARSE_ERRORS as error:
        raise Damaged(path, f"pixel data that cannot be decoded ({first_line(error)})") from error
    return pixels.reshape(-1, *pixels.shape[-2:])


def _check_ends(path: Path, data, syntax) -> None:
    """Damaged where a JPEG or JPEG-LS image is cut off: decoders fill in what is missing without a word."""
    from pydicom import encaps
    from pydicom.uid import JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

    if syntax not in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes):
        return
    count = int(data.get("NumberOfFrames", 1) or 1)
    if hasattr(encaps, "generate_frames"):
        streams = encaps.generate_frames(data.PixelData, number_of_frames=count)
    else:  # pydicom 2
        streams = encaps.generate_pixel_data_frame(data.PixelData, count)
    for number, stream in enumerate(streams):
        if _END_OF_IMAGE not in stream.rstrip(b"\0")[-_PADDING:]:
            raise Damaged(path, f"image {number} cut off (its compressed data has no end)")


def _can_decode(syntax) -> bool:
    try:
        from pydicom.pixels import get_decoder
    except ImportError:  # pydicom 2
        from pydicom import config

        return any(h.supports_transfer_syntax(syntax) and h.is_available() for h in config.pixel_data_handlers)
    try:
        return get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def _decode_with_gdcm(path: Path, data, syntax) -> np.ndarray:
    import SimpleITK

    try:
        if int(data.get("NumberOfFrames", 1) or 1) != 1:
            raise RuntimeError("a rescale of each frame could not be undone")
        reader = SimpleITK.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(path))
        pixels = SimpleITK.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise InputError(
            path,
            "a transfer syntax that can be decoded here",
            f"{syntax.name} ({syntax}) and no decoder for it",
            'Install one: pip install python-gdcm (in Slicer: slicer.util.pip_install("python-gdcm")).',
        ) from error
    # it rescales by itself: back to what is stored, which are whole numbers
    slope, intercept = float(data.get("RescaleSlope", 1) or 1), float(data.get("RescaleIntercept", 0) or 0)
    return np.round((pixels.astype(np.float64) - intercept) / slope)
