"""What a model looks at in a frame: heat-maps and saliency, in the cine's own pixels.

Saliency is |∂loss/∂image| (Xue 2021), from one pass without an ensemble. Of a heat-map network the loss is the
published one, KL divergence and soft Dice, against Gaussians of 4 mm on the reference's landmarks, or on those the
model found. Of a network that gives coordinates it is the L1 distance to the reference; without one, where that loss
has no derivative (it is 0), the root of the sum of squares of every shown coordinate's derivative, which are what the
derivative of L1 is made of. The image is taken in the network's own intensity scale, whose constants (percentile,
range, coil gain) are held fixed, and after the intensity curve where the detection looked through one: the unit is loss
(or pixels) for one unit of that scale in one pixel of the cine.

Heat-maps need either engine, saliency needs torch. Resampling to the network's grid is part of what is derived.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..cine import Cine
from ..errors import ModelError, UsageError
from ..landmarks import N_LANDMARKS, VIEWS, LandmarkSeries, by_number, in_view
from ..models.answers import heatmaps_of
from ..models.architectures import OWN_GRAPH
from ..models.catalogue import resolve_model
from ..models.coordinates import Fit, scale_intensity
from ..models.engine import Engine, open_engine
from ..models.intensity import Curve, scale_windows
from ..models.sampling import Window, pixel_mm
from ..models.symmetries import IDENTITY, SETS
from ..models.weights import file_kind, has_package
from . import DEFAULT_MODEL, DetectionResult, detect

if TYPE_CHECKING:
    from torch import Tensor

#: width of the loss's Gaussian targets (Xue 2021: 4 pixels of 1 mm)
TARGET_SIGMA_MM = 4.0
#: frames beside the wanted one that are looked at to find the heart and the view, where no detection is given
_SAMPLED_FRAMES = 6


class FrameMaps:
    """A model's maps of single frames of one cine.

    model: a catalogue id or a file. view: "auto" or the view it is. result: a detection of this cine with this model,
    whose window and landmarks are used; None: some frames are looked at first.
    UsageError: a view or frame that does not exist, a detection with another model. ModelError as in `detect`.
    """

    def __init__(
        self,
        cine: Cine,
        model: str | os.PathLike = DEFAULT_MODEL,
        view: str = "auto",
        *,
        result: DetectionResult | None = None,
        engine: str = "auto",
        device: str = "auto",
        tta: bool = True,
    ) -> None:
        self.cine, self.spec = cine, resolve_model(model)
        self._engine, self._device, self._tta = engine, device, tta
        self._model, self._view, self._result = model, view, result
        self._runner: Engine | None = None
        self._network: Callable[..., Tensor] | None = None
        self._looked: dict[int, tuple[DetectionResult, int]] = {}
        if result is not None and (result.model.checksum, result.model.input) != (self.spec.checksum, self.spec.input):
            raise UsageError(f"The detection is of model {result.model.id}, not of {self.spec.id}.")
        if result is not None and result.landmarks.n_frames != cine.n_frames:
            raise UsageError(f"The detection has {result.landmarks.n_frames} frames, the cine {cine.n_frames}.")

    def heatmaps(self, frame: int) -> np.ndarray:
        """(11, H, W) float32 probabilities by landmark, the ensemble's mean; 0 for landmarks the model has not and
        outside what it looked at. UsageError for a model that gives coordinates."""
        if self.spec.kind != "heatmap":
            raise UsageError(f"{self.spec.id} gives coordinates and has no heat-maps; its saliency can be shown.")
        result, _ = self.detection(frame)
        window, curve = self._window(result), _curve(result)
        if self._runner is None:
            self._runner = open_engine(
                self.spec.path, self.spec.architecture, self._engine, self._device, checksum=self.spec.checksum
            )
        told = {"view": _told(result.view)} if self.spec.input.view_input else {}
        maps, image = 0, self._images(window, curve)[[frame]]
        symmetries = SETS[self.spec.symmetries] if self._tta else (IDENTITY,)
        for symmetry in symmetries:
            given = symmetry.images(image)[:, None]
            answer = heatmaps_of(self.spec, self._runner.run({"image": given, **told}), given)
            maps = maps + symmetry.undo_maps(answer)[0] / len(symmetries)
        found = np.zeros((N_LANDMARKS, *self.cine.shape), np.float32)
        found[[number - 1 for number in self.spec.landmarks]] = window.inverse().images(maps)
        return found

    def saliency(self, frame: int, landmark: int | None = None, reference: LandmarkSeries | None = None) -> np.ndarray:
        """(H, W) float32, |∂loss/∂image| of the module's text.

        landmark: a number, to take the loss of this landmark alone (of a heat-map network, its channel against all
        others). reference: landmarks of the whole cine that the loss is against. UsageError where nothing is there.
        """
        result, row = self.detection(frame)
        series, at = (result.landmarks, row) if reference is None else (reference, frame)
        view = series.view or result.view
        if view is None:
            raise UsageError("The view was not recognised, so the loss is against nothing; state the view.")
        wanted = [item.index for item in in_view(view)] if landmark is None else [by_number(landmark).index]
        points = series.positions[at]
        shown = [index for index in wanted if index + 1 in self.spec.landmarks and np.isfinite(points[index, 0])]
        if not shown:
            missing = "no landmark" if landmark is None else f"no landmark {landmark}"
            raise UsageError(f"Frame {frame} has {missing} to take the loss of.")
        if not has_package("torch"):
            raise ModelError(self.spec.path, "the package torch for saliency", "it is not installed", "Install torch.")
        if self.spec.kind == "heatmap":
            images = self._images(self._window(result), _curve(result))
            return self._of_heatmaps(images[frame], self._window(result), view, points, shown, landmark is not None)
        return self._of_points(frame, points, shown, reference is not None)

    def landmarks(self, frame: int) -> LandmarkSeries:
        """What the model found, as landmarks of the whole cine; without a detection given, of this frame alone."""
        result, row = self.detection(frame)
        if self._result is not None:
            return result.landmarks
        found = result.landmarks
        empty = LandmarkSeries.empty(self.cine.n_frames, found.view)
        filled = {name: getattr(empty, name).copy() for name in ("positions", "confidence", "provenance")}
        for name, values in filled.items():
            values[frame] = getattr(found, name)[row]
        return empty.replace(**filled)

    # -- the two kinds of network ----------------------------------------------------------------
    def _of_heatmaps(
        self, seen: np.ndarray, window: Window, view: str, points: np.ndarray, shown: list[int], alone: bool
    ) -> np.ndarray:
        import torch

        from ..models.losses import gaussian_targets, published_loss

        channels = [self.spec.landmarks.index(index + 1) for index in shown]
        at = torch.full((1, len(self.spec.landmarks), 2), torch.nan)
        at[0, channels] = torch.from_numpy(window.positions(points[shown])).float()
        sigma = TARGET_SIGMA_MM / pixel_mm(window, self.spec.input.spacing_mm, self.cine.spacing)
        targets = gaussian_targets(at, window.size, sigma)
        image = torch.from_numpy(seen)[None, None].requires_grad_()
        logits = self._logits()(image, torch.from_numpy(_told(view)))
        if alone:  # this channel against the sum of all others
            channel = channels[0]
            log_p = logits.log_softmax(1)
            rest = [number for number in range(logits.shape[1]) if number != channel]
            logits = torch.stack([log_p[:, channel], log_p[:, rest].logsumexp(1)], 1)
            targets = torch.stack([targets[:, channel], 1 - targets[:, channel]], 1)
            at = at[:, [channel]]
        loss = sum(published_loss(logits, targets, ~at.isnan().any(-1)).values())
        (gradient,) = torch.autograd.grad(loss, image)
        return _carried(gradient[0, 0].numpy(), window.weights())

    def _of_points(self, frame: int, points: np.ndarray, shown: list[int], against: bool) -> np.ndarray:
        import torch

        fit = Fit(self.cine.shape, self.spec.input.size)
        images = scale_intensity(self.cine.frames, self.spec.input.intensity)[frame : frame + 1]
        image = torch.from_numpy(fit.images(images))[None].requires_grad_()
        found = self._network_of_points()(image)[0]
        columns = [self.spec.landmarks.index(index + 1) for index in shown]
        if against:
            target = torch.from_numpy(fit.positions(points[shown]).T).float()
            (gradient,) = torch.autograd.grad((found[:, columns] - target).abs().mean(), image)
            return _carried(gradient[0, 0].numpy(), fit.weights())
        squares = np.zeros(self.cine.shape, np.float32)
        for value in found[:, columns].flatten():
            (gradient,) = torch.autograd.grad(value, image, retain_graph=True)
            squares += _carried(gradient[0, 0].numpy(), fit.weights()) ** 2
        return np.sqrt(squares)

    # -- steps -----------------------------------------------------------------------------------
    def detection(self, frame: int) -> tuple[DetectionResult, int]:
        """A detection that has this frame, and the frame's row in it."""
        if not 0 <= frame < self.cine.n_frames:
            raise UsageError(f"frame {frame}: {self.cine.name} has frames 0 to {self.cine.n_frames - 1}.")
        if self._result is not None:
            return self._result, frame
        if frame not in self._looked:
            spread = np.linspace(0, self.cine.n_frames - 1, _SAMPLED_FRAMES).round().astype(int)
            looked = np.unique([*spread, frame])
            part = self.cine.replace(frames=self.cine.frames[looked], times_ms=None)
            result = detect(part, self._model, self._view, self._engine, self._device, self._tta)
            self._looked |= {int(number): (result, row) for row, number in enumerate(looked)}
        return self._looked[frame]

    def _window(self, result: DetectionResult) -> Window:
        """Where the detection looked."""
        facts = result.settings
        step = (self.spec.input.spacing_mm or 1.0) / np.array(facts["spacing_mm"])
        size, centre = tuple(facts["window_size"]), tuple(facts["window_centre"])
        return Window(self.cine.shape, centre, tuple(step), size, bool(facts["mirrored"]))

    def _images(self, window: Window, curve: Curve | None) -> np.ndarray:
        """(T, *size) as the network takes them: its intensities are those of all frames."""
        pixel = pixel_mm(window, self.spec.input.spacing_mm, self.cine.spacing)
        return scale_windows(window.images(self.cine.frames), self.spec.input.intensity, pixel, curve)

    def _logits(self) -> Callable[[Tensor, Tensor], Tensor]:
        """(image, view) -> logits (1, channels + 1, rows, columns)."""
        if self._network is None:
            if self.spec.architecture == OWN_GRAPH and file_kind(self.spec.path) == "torchscript":
                import torch

                module = torch.jit.load(os.fspath(self.spec.path), map_location="cpu").eval()
                # such a model gives probabilities; their logarithms are logits
                self._network = lambda image, view: module(image).clamp(min=1e-9).log()
            else:
                from ..models.restore import torch_network

                module = torch_network(self.spec)
                view_input = self.spec.input.view_input
                self._network = lambda image, view: module(image, view)[0] if view_input else module(image)
        return self._network

    def _network_of_points(self) -> Callable[[Tensor], Tensor]:
        """image (1, 1, rows, columns) -> (1, 2, 10) pixels."""
        if self._network is None:
            from ..models.restore import torch_network

            self._network = torch_network(self.spec)
        return self._network


def _curve(result: DetectionResult) -> Curve | None:
    """The intensity curve the detection looked through."""
    knots = result.settings.get("intensity_curve")
    return knots and tuple(tuple(knot) for knot in knots)


def _told(view: str | None) -> np.ndarray:
    """(1, 3) float32: the view as the networks are told it, zeros where it is unknown."""
    return np.array([[float(view == name) for name in VIEWS]], np.float32)


def _carried(gradient: np.ndarray, weights: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """|derivative| on the network's grid -> on the cine's, through the transpose of the resampling."""
    rows, columns = weights
    return np.abs(rows.T @ gradient @ columns).astype(np.float32)


def saliency_map(
    cine: Cine,
    frame: int,
    model: str | os.PathLike = DEFAULT_MODEL,
    view: str = "auto",
    landmark: int | None = None,
    result: DetectionResult | None = None,
) -> np.ndarray:
    """(H, W) float32: `FrameMaps.saliency` of one frame. For several frames keep a `FrameMaps`."""
    return FrameMaps(cine, model, view, result=result).saliency(frame, landmark)


def heatmap_image(
    cine: Cine,
    frame: int,
    model: str | os.PathLike = DEFAULT_MODEL,
    view: str = "auto",
    result: DetectionResult | None = None,
) -> np.ndarray:
    """(11, H, W) float32: `FrameMaps.heatmaps` of one frame. For several frames keep a `FrameMaps`."""
    return FrameMaps(cine, model, view, result=result).heatmaps(frame)
