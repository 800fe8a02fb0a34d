"""Sample data: a real four-chamber cine (downloaded on request) and a synthetic study (made on the spot)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import slicer

from ..cine import Cine
from ..errors import CvlError
from ..readers import read_cine
from .cine_nodes import browser_of, sequence_from_cine

CATEGORY = "Cardiac Valve Landmarks"
#: the published bundle's sample (MIT), from the AMRG Cardiac Atlas
AMRG_FILE = "AMRGAtlas_0031.nii.gz"
AMRG_URL = f"https://github.com/KCL-BMEIS/bundle-data/raw/main/valve_landmarks/{AMRG_FILE}"
AMRG_CHECKSUM = "SHA256:ddac587d7ced3c7f892113e379256f055895162a5077f741c1bdc79e1a70b558"


def register() -> None:
    """Add both to Slicer's Sample Data module. Fetches and makes nothing."""
    import SampleData

    icon = Path(__file__).resolve().parents[2] / "Resources" / "Icons" / "CardiacValveLandmarks.png"
    add = SampleData.SampleDataLogic.registerCustomSampleDataSource
    add(
        category=CATEGORY,
        sampleName="AMRG four-chamber cine",
        thumbnailFileName=str(icon),
        uris=AMRG_URL,
        fileNames=AMRG_FILE,
        checksums=AMRG_CHECKSUM,
        customDownloader=load_amrg,
    )
    add(
        category=CATEGORY,
        sampleName="Synthetic study (no network)",
        thumbnailFileName=str(icon),
        # nothing to download: with None in their place SampleData stops (it counts the addresses)
        uris=[],
        fileNames=[],
        customDownloader=load_synthetic,
    )


def load_amrg(source) -> list:
    """Download (once; verified by SampleData) and read with our own reader: Slicer before 5.12.4 reads no 4-D NIfTI."""
    return _loaded(lambda: [read_cine(_downloaded(source))])


def load_synthetic(source=None, seed: int = 0) -> list:
    """The synthetic study's cines as sequence nodes, in the order 2CH, 3CH, 4CH; made in some seconds."""
    from ..phantom.cines import synthetic_study

    return _loaded(lambda: [item.cine for item in synthetic_study(seed).items])


def _downloaded(source) -> Path:
    """The sample's file in Slicer's cache. ValueError (SampleData's own) without network."""
    import SampleData

    # the module's logic writes into the module's window, which is where one waits
    widget = getattr(slicer.modules, "SampleDataWidget", None)
    logic = SampleData.SampleDataLogic() if widget is None else widget.logic
    return Path(logic.downloadFileIntoCache(source.uris[0], source.fileNames[0], source.checksums[0]))


def _loaded(make: Callable[[], list[Cine]]) -> list:
    """The sequence nodes of what `make` gives, the first of them shown where there are views. An error is told in a
    window where there is one, and nothing is loaded; else it is the caller's."""
    try:
        cines = make()
    except (CvlError, ValueError) as error:
        if slicer.util.mainWindow() is None:
            raise
        slicer.util.errorDisplay(str(error), windowTitle=CATEGORY)
        return []
    sequences = [sequence_from_cine(cine) for cine in cines]
    if slicer.app.layoutManager() is not None:  # as Slicer's own reader of sequences does
        browser = browser_of(sequences[0])
        slicer.modules.sequences.showSequenceBrowser(browser)
        logic = slicer.app.applicationLogic()
        logic.GetSelectionNode().SetActiveVolumeID(browser.GetProxyNode(sequences[0]).GetID())
        logic.PropagateVolumeSelection(1)
    return sequences
