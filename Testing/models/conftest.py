"""Fixtures of the model tests: a cache of their own, weights with the published tensors."""

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Every test has its own cache folder; nothing of the user's is read or written."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("CVL_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def published_weights(tmp_path_factory):
    """A state-dict file with the published tensors, filled at random."""
    torch = pytest.importorskip("torch")
    from CardiacValveLandmarksLib.models.published import PublishedNetwork

    torch.manual_seed(5)
    state = PublishedNetwork().state_dict()
    for name, value in state.items():
        if not name.endswith("A.weight"):  # slopes stay at 0.25
            state[name] = torch.randn_like(value) / max(1.0, float(np.sqrt(value[0].numel())))
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.save(state, path)
    return path


@pytest.fixture(scope="session")
def images():
    """(5, 256, 256) float32 in [0, 1]: smooth blobs and noise."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:256, :256]
    frames = [
        np.exp(-((rows - a) ** 2 + (columns - b) ** 2) / (2 * c**2)) + 0.05 * rng.random((256, 256))
        for a, b, c in rng.uniform((60, 60, 15), (200, 200, 60), (5, 3))
    ]
    frames = np.array(frames, np.float32)
    return (frames - frames.min()) / (frames.max() - frames.min())
