"""The samples that Slicer's Sample Data module offers."""

import shutil
import sys
from types import ModuleType, SimpleNamespace

import pytest
import slicer
from CardiacValveLandmarksLib.mrml import sample_data
from CardiacValveLandmarksLib.mrml.cine_nodes import cine_from_sequence


def sample_data_module(cached=None):
    """SampleData with the very parameters of Slicer 5.10's (an unknown one would stop Slicer's start-up)."""
    sources = []

    class SampleDataLogic:
        @staticmethod
        def registerCustomSampleDataSource(
            category="Custom",
            sampleName=None,
            uris=None,
            fileNames=None,
            nodeNames=None,
            customDownloader=None,
            thumbnailFileName=None,
            loadFileTypes=None,
            loadFiles=None,
            loadFileProperties={},  # noqa: B006 - as it is there
            checksums=None,
            loadFileType=None,
        ):
            # SampleDataSource counts them: None is a TypeError there
            as_lists = {}
            for name, given in (("uris", uris), ("fileNames", fileNames)):
                as_lists[name] = [given] if isinstance(given, str) else list(given)
            as_lists["checksums"] = [checksums]
            sources.append(
                SimpleNamespace(category=category, sampleName=sampleName, customDownloader=customDownloader, **as_lists)
            )

        def downloadFileIntoCache(self, uri, name, checksum=None):
            assert uri.startswith("https://github.com/") and checksum.startswith("SHA256:")
            return str(cached)

    module = ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogic
    return module, sources


def test_registering_adds_two_samples_and_makes_nothing(app, monkeypatch):
    module, sources = sample_data_module()
    monkeypatch.setitem(sys.modules, "SampleData", module)
    before = slicer.mrmlScene.GetNumberOfNodes()
    sample_data.register()
    assert len(sources) == 2 and slicer.mrmlScene.GetNumberOfNodes() == before


def test_the_real_sample_is_read_by_our_own_reader(app, monkeypatch, real_data, tmp_path):
    path = tmp_path / sample_data.AMRG_FILE
    shutil.copy(real_data / "amrg" / sample_data.AMRG_FILE, path)
    module, sources = sample_data_module(path)
    monkeypatch.setitem(sys.modules, "SampleData", module)
    sample_data.register()
    source = next(source for source in sources if source.uris)
    (sequence,) = source.customDownloader(source)
    assert cine_from_sequence(sequence).frames.shape == (32, 256, 256)


def test_the_published_checksum_is_that_of_the_real_file(real_data):
    from CardiacValveLandmarksLib.models.cache import checksums

    (found,) = checksums(real_data / "amrg" / sample_data.AMRG_FILE, "sha256")
    assert f"SHA256:{found}" == sample_data.AMRG_CHECKSUM


def test_a_sample_is_shown_where_there_are_views(app, monkeypatch):
    shown = []
    monkeypatch.setattr(app, "layoutManager", object)
    monkeypatch.setattr(
        slicer.modules,
        "sequences",
        SimpleNamespace(showSequenceBrowser=shown.append, logic=slicer.modules.sequences.logic),
    )
    sequences = sample_data.load_synthetic()
    assert [node.GetMasterSequenceNode() for node in shown] == sequences[:1]
    active = app.applicationLogic().GetSelectionNode().GetActiveVolumeID()
    assert active == shown[0].GetProxyNode(sequences[0]).GetID()


def test_a_sample_that_cannot_be_fetched_is_told_in_a_window(app, monkeypatch):
    module, sources = sample_data_module()
    monkeypatch.setitem(sys.modules, "SampleData", module)
    sample_data.register()
    source = next(source for source in sources if source.uris)

    def fails(*_):
        raise ValueError("Failed to download")

    monkeypatch.setattr(module.SampleDataLogic, "downloadFileIntoCache", fails)
    with pytest.raises(ValueError, match="Failed to download"):  # without a window it is the script's
        source.customDownloader(source)
    told = []
    monkeypatch.setattr(slicer.util, "mainWindow", object)
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, **_: told.append(text))
    # where its module is open, SampleData's own logic is asked, which writes into that window
    own = SimpleNamespace(logic=module.SampleDataLogic())
    monkeypatch.setattr(slicer.modules, "SampleDataWidget", own, raising=False)
    monkeypatch.setattr(own.logic, "downloadFileIntoCache", lambda *_: "/nowhere/sample.nii.gz", raising=False)
    assert source.customDownloader(source) == [] and "/nowhere/sample.nii.gz" in told[0]
