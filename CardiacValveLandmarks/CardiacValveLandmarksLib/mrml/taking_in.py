"""What a detection found, put into the scene: in pieces that leave it as it is, then all at once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from ..correction import Correction
from .jobs import Detected, check_unchanged, prediction_of, unchanged_sequence
from .review import Review
from .reviewed_view import Prepared


def take_in(
    scene, detected: Sequence[Detected], keep_manual: bool, open_study: Callable[[dict[str, object]], Review]
) -> Generator[None, None, tuple[Review, int]]:
    """One step of review with what was found; the review and the number of points kept from before.

    open_study({view: sequence}): the review these cines belong to. Whoever stops between two pieces, or loses a cine
    meanwhile (InputError), finds the scene as it was: only the last piece changes it.
    """
    sequences, times = {}, {}
    for one in detected:
        sequence = sequences[one.job.view] = unchanged_sequence(scene, one.job)
        times[one.job.view] = sequence.GetMTime()
        yield
    prepared: dict[str, Prepared] = {}
    kept: dict[str, int] = {}

    def check() -> None:
        for one in detected:
            check_unchanged(scene, one.job, sequences[one.job.view], times[one.job.view])

    while True:
        check()
        review = open_study(sequences)
        # those not ready yet, and those a person has changed meanwhile
        due = [one for one in detected if not _current(prepared.get(one.job.view), review, sequences[one.job.view])]
        if not due:
            break
        for one in due:
            view = one.job.view

            def redetected(correction: Correction, one=one, view=view) -> Correction:
                changed, kept[view] = correction.redetected(prediction_of(one), keep_manual)
                return changed

            check()
            prepared[view] = yield from review.prepared(view, sequences[view], one.job.cine, redetected, keep_manual)
            yield
    review.take(prepared)
    return review, sum(kept.values())


def _current(prepared: Prepared | None, review: Review, sequence) -> bool:
    """Whether what was prepared follows from what there is now."""
    return prepared is not None and prepared.base is review.base(prepared.look.correction.prediction.view, sequence)
