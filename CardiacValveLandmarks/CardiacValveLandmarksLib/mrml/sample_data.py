"""Sample data: a real four-chamber cine (downloaded on request) and a synthetic study (made on the spot)."""

from __future__ import annotations

from pathlib import Path

from ..readers import read_cine
from .cine_nodes import sequence_from_cine

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
    import SampleData

    path = SampleData.SampleDataLogic().downloadFileIntoCache(source.uris[0], source.fileNames[0], source.checksums[0])
    return [sequence_from_cine(read_cine(path))]


def load_synthetic(source=None, seed: int = 0) -> list:
    """The synthetic study's cines as sequence nodes, in the order 2CH, 3CH, 4CH; made in some seconds."""
    from ..phantom.cines import synthetic_study

    return [sequence_from_cine(item.cine) for item in synthetic_study(seed).items]
