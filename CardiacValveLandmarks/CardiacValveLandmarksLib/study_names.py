"""Taking out of a study what can lead to a person: names of cines (file names, series descriptions), sources, UIDs."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

from .landmarks import VIEWS
from .study import Study

#: names that say nothing of anybody: of a view, or as study_run gives them
_NEUTRAL = re.compile(rf"({'|'.join(VIEWS)}|(series|cine)-\d{{1,5}})(-\d{{1,3}})?")


def without_names(study: Study) -> Study:
    """The study with its cines called `cine-1` …, in its texts too, and without sources and UIDs. Names that are
    neutral already stay."""
    names = dict.fromkeys([v.name for v in study.views] + [c.name for c in study.candidates])
    names.update(dict.fromkeys(study.settings.views.values()))
    free = (name for n in itertools.count(1) if (name := f"cine-{n}") not in names)
    called = {name: name if _NEUTRAL.fullmatch(name) else next(free) for name in names}
    changed = sorted((name for name in called if called[name] != name and name), key=len, reverse=True)
    # as texts give them: before a colon, in brackets, in lists; a word like a name stays elsewhere
    known = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, changed))})(?=[:),]|\.?$)") if changed else None

    def told(text: str) -> str:
        return text if known is None else known.sub(lambda found: called[found[0]], text)

    blank = {"source": "", "study_uid": "", "frame_of_reference_uid": ""}
    return replace(
        study,
        views=tuple(replace(view, name=called[view.name], **blank) for view in study.views),
        candidates=tuple(replace(c, name=called[c.name], reason=told(c.reason)) for c in study.candidates),
        warnings=tuple(map(told, study.warnings)),
        settings=replace(study.settings, views={view: called[name] for view, name in study.settings.views.items()}),
    )
