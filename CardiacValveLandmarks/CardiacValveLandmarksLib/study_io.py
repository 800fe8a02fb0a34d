"""study.json: a study without its images, exactly."""

from __future__ import annotations

import os

from .study import Study

SCHEMA_VERSION = "1.0"


def study_to_json(study: Study, path: str | os.PathLike, identify: bool = False) -> None:
    """Write `study`, floats exactly, NaN as null; sources and UIDs only with `identify`."""
    raise NotImplementedError


def study_from_json(path: str | os.PathLike) -> Study:
    """Read what `study_to_json` wrote. InputError where it is no study file or of another major version."""
    raise NotImplementedError
