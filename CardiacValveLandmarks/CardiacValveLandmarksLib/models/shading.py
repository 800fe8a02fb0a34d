"""Surface-coil shading: a smooth gain over the image, estimated and divided out.

N4 (Tustison et al., IEEE TMI 2010) from SimpleITK, on the image shrunk to pixels of about 8 mm, where a gain that
varies over centimetres is fully seen; three levels of 50 iterations, 5 control points. SimpleITK is imported late.
"""

from __future__ import annotations

import numpy as np

from .sampling import Window

_COARSE_MM = 8.0
_ITERATIONS, _CONTROL_POINTS = (50, 50, 50), 5
#: pixels under this share of the 99th percentile are taken for air and lung, which say nothing of the gain
_BODY = 0.1
#: SimpleITK's B-splines need more pixels than this along each axis
_LEAST = 8


def coarse_shape(shape: tuple[int, int], spacing_mm: float) -> tuple[int, int]:
    """(h, w) of what log_shading gives for an image of this shape."""
    return tuple(max(_LEAST, round(side * spacing_mm / _COARSE_MM)) for side in shape)


def log_shading(image: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Logarithm of the gain over an image (H, W), as a coarse map (h, w) float32 that covers it exactly: its pixel i is
    centred on (i + 0.5) H / h - 0.5 of the image. Its mean over the body is 0. All 0 where there is no body to see.

    spacing_mm: of the image's (square) pixels.
    """
    import SimpleITK as sitk

    shape = image.shape
    size = coarse_shape(shape, spacing_mm)
    step = tuple(given / wanted for given, wanted in zip(shape, size, strict=True))
    window = Window(shape, tuple((side - 1) / 2 for side in shape), step, size)
    small = window.images(image[None])[0]
    body = small > _BODY * max(float(np.percentile(small, 99)), 1e-6)
    if body.sum() < 4 * _CONTROL_POINTS**2:
        return np.zeros(size, np.float32)
    image_itk, mask = sitk.GetImageFromArray(small), sitk.GetImageFromArray(body.astype(np.uint8))
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations(_ITERATIONS)
    n4.SetNumberOfControlPoints([_CONTROL_POINTS] * 2)
    n4.SetNumberOfThreads(1)  # so small an image is slower with more
    n4.Execute(image_itk, mask)
    gain = sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(image_itk))
    return (gain - gain[body].mean()).astype(np.float32)


def even_out(images: np.ndarray, log_gain: np.ndarray) -> np.ndarray:
    """Images (..., H, W) divided by a gain as log_shading gives it, float32."""
    rows, columns = (_stretch(count, coarse) for count, coarse in zip(images.shape[-2:], log_gain.shape, strict=True))
    return np.asarray(images, np.float32) * np.exp(-(rows @ log_gain @ columns.T))


def _stretch(count: int, coarse: int) -> np.ndarray:
    """(count, coarse) float32: linear interpolation of a coarse axis, constant beyond its outermost centres."""
    centres = (np.arange(count) + 0.5) * coarse / count - 0.5
    return np.stack([np.interp(centres, np.arange(coarse), unit) for unit in np.eye(coarse)], 1).astype(np.float32)
