"""The intensity curve through which a model sees corrected cines best: fitted to the look of the synthetic heart, then
by the model's own loss. Needs torch.

Only the curve moves, not the network: a few numbers, which a few cines can tell (Karani et al., Medical Image Analysis
2021, adapt a small network of intensities so).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from ..landmarks import VIEWS
from ..models.intensity import Curve, through_curve
from ..models.spec import BRIGHTEST
from .augment import rescale
from .corrected_cuts import CorrectedCuts, Cuts
from .intensity_curve import curves_to_usual, usual_hearts

#: a curve is taken where it lowers the model's error on the corrected cines to this share, or further
_HELPS = 0.9
#: and where the model's error on the synthetic heart as usual is more than so many times as large through it
_UNLIKE = 1.2
#: cines that curves are fitted to and tried on; images of each, and of each view of the synthetic heart
_MOST_CINES, _TRIED = 12, 12
#: knots of the curve that the loss moves, evenly over the scaled intensities
_KNOTS, _BRIGHTEST = 9, 1.2
#: steps, images of each, and rate; with 100 steps a single cine was learned by heart
_STEPS, _BATCH, _RATE = 40, 8, 0.04


@dataclass(frozen=True)
class CurveSearch:
    """error: mean error (mm) of the model on so many images of some cuts. loss: of the model, which stays as it is, on
    a batch of `images` (B, 1, S, S) as it takes them, `told`, `landmarks` and `classes` (training.recipes)."""

    error: Callable[[Cuts, int], float]
    loss: Callable[[Mapping[str, Tensor]], Tensor]
    seed: int

    def find(self, cines: Sequence[CorrectedCuts], usual: Cuts, own: Sequence[Curve]) -> Curve | None:
        """The curve for these corrected cines; None where none helps, or it is no other contrast that it leads from.

        usual: images of the synthetic heart. own: curves the model looks through already. A cine counts as it is seen
        best: as it is, through one of these, or through the new one; and as much as its labels count.
        """
        cines = [cines[row] for row in np.unique(np.linspace(0, len(cines) - 1, _MOST_CINES).round().astype(int))]
        weights = np.array([one.weight for one in cines])
        so_far = np.min([self._errors(cines, curve) for curve in (None, *own)], axis=0)

        def cost(curve: Curve) -> float:
            return float(weights @ np.minimum(so_far, self._errors(cines, curve)))

        hearts = usual_hearts(
            rescale(torch.from_numpy(usual.images)[:, None])[:, 0].numpy(),
            usual.landmarks,
            [VIEWS[number] for number in usual.classes],
        )
        seen = [(one.seen.images, one.seen.landmarks, VIEWS[one.seen.classes[0]]) for one in cines]
        fitted = [curve for curve in curves_to_usual(seen, hearts) if self._leads_away(curve, usual)]
        if not fitted:
            return None
        best = min(fitted, key=cost)
        # a cine of another contrast has no say in where this curve goes
        nearer = self._errors(cines, best) < so_far
        moved = self._moved(best, [one for one, helped in zip(cines, nearer, strict=True) if helped] or cines)
        if self._leads_away(moved, usual):
            best = min((best, moved), key=cost)
        return best if cost(best) <= _HELPS * float(weights @ so_far) else None

    def _leads_away(self, curve: Curve, usual: Cuts) -> bool:
        """Whether the synthetic heart as usual looks much worse through the curve: else two looks would differ little,
        and which of them is taken would be left to chance."""
        turned = replace(usual, images=through_curve(usual.images, curve))
        most = _TRIED * len(VIEWS)
        return self.error(turned, most) > _UNLIKE * self.error(usual, most)

    def _errors(self, cines: Sequence[CorrectedCuts], curve: Curve | None) -> np.ndarray:
        return np.array([self.error(one.through(curve).seen, _TRIED) for one in cines])

    def _moved(self, curve: Curve, cines: Sequence[CorrectedCuts]) -> Curve:
        """The curve after some steps down the loss."""
        cuts = Cuts.together([one.seen for one in cines], [one.weight for one in cines])
        knots = np.linspace(0, _BRIGHTEST, _KNOTS)
        levels = torch.from_numpy(through_curve(knots, curve)).requires_grad_()
        optimiser = torch.optim.Adam([levels], _RATE)
        rng = np.random.default_rng([self.seed, 91])
        for step in range(_STEPS):
            optimiser.param_groups[0]["lr"] = _RATE * (0.5 + 0.5 * math.cos(math.pi * step / _STEPS))
            chosen = rng.choice(len(cuts.images), _BATCH, p=cuts.chances)
            classes = torch.from_numpy(cuts.classes[chosen]).long()
            batch = {
                "images": rescale(_through(torch.from_numpy(cuts.images[chosen])[:, None], levels)),
                "told": nn.functional.one_hot(classes, len(VIEWS)).float(),
                "landmarks": torch.from_numpy(cuts.landmarks[chosen]),
                "classes": classes,
            }
            (levels.grad,) = torch.autograd.grad(self.loss(batch), levels)
            optimiser.step()
            with torch.no_grad():
                levels.clamp_(0, BRIGHTEST)
        return tuple((float(knot), float(level)) for knot, level in zip(knots, levels.detach(), strict=True))


def _through(images: Tensor, levels: Tensor) -> Tensor:
    """Images through the curve with these levels at evenly spaced knots; what comes out depends on the levels."""
    at = images.clamp(0, _BRIGHTEST) * ((len(levels) - 1) / _BRIGHTEST)
    below = at.floor().clamp(max=len(levels) - 2).long()
    part = at - below
    return levels[below] * (1 - part) + levels[below + 1] * part
