"""Saliency and heat-maps: derivatives that finite differences confirm, in the cine's own pixels."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from CardiacValveLandmarksLib.cli import main  # noqa: E402
from CardiacValveLandmarksLib.detection import detect  # noqa: E402
from CardiacValveLandmarksLib.detection.saliency import TARGET_SIGMA_MM, FrameMaps, saliency_map  # noqa: E402
from CardiacValveLandmarksLib.errors import UsageError  # noqa: E402
from CardiacValveLandmarksLib.models.catalogue import resolve_model, spec_of_file  # noqa: E402
from CardiacValveLandmarksLib.models.coordinates import Fit, scale_intensity  # noqa: E402
from CardiacValveLandmarksLib.models.intensity import scale_windows  # noqa: E402
from CardiacValveLandmarksLib.models.losses import gaussian_targets, published_loss  # noqa: E402
from CardiacValveLandmarksLib.models.published import PublishedNetwork  # noqa: E402
from CardiacValveLandmarksLib.models.restore import torch_network  # noqa: E402
from CardiacValveLandmarksLib.models.sampling import Window  # noqa: E402
from CardiacValveLandmarksLib.nifti_writer import write_nifti  # noqa: E402
from CardiacValveLandmarksLib.phantom.cines import synthetic_study  # noqa: E402
from CardiacValveLandmarksLib.readers import read_cine  # noqa: E402

FRAME = 2


@pytest.fixture(scope="module")
def item():
    # pixels that are neither those of the model nor square with its window, and mirrored
    return synthetic_study(4242, kinds=("4CH",), frames=5, shape=(150, 170), spacing=1.7, mirror=True).items[0]


@pytest.fixture(scope="module")
def result(item):
    return detect(item.cine, tta=False)


@pytest.fixture(scope="module")
def maps(item, result):
    return FrameMaps(item.cine, result=result, tta=False)


def finite_differences(of, image, weights, places, step):
    """|d of(rows @ f @ columns.T) / d f| at some pixels of f, by central differences."""
    rows, columns = (torch.from_numpy(part).double() for part in weights)
    found = []
    with torch.no_grad():
        for row, column in places:
            change = step * rows[:, row, None] * columns[None, :, column]
            found.append(abs((of(image + change) - of(image - change)).item()) / (2 * step))
    return np.array(found)


def some_places(saliency, count=6):
    """Pixels of strong and of middling saliency."""
    order = np.argsort(saliency, axis=None)
    chosen = order[[-1, -2, -20, -200, -2000, -6000][:count]]
    return [tuple(int(x) for x in np.unravel_index(k, saliency.shape)) for k in chosen]


@pytest.mark.parametrize("landmark", [None, 9])
def test_saliency_is_the_derivative_of_the_loss(item, result, maps, landmark):
    saliency = maps.saliency(FRAME, landmark)
    assert saliency.shape == item.cine.shape and saliency.dtype == np.float32
    facts, spec = result.settings, resolve_model("phantom-heatmap")
    size, spacing = spec.input.size, np.array(facts["spacing_mm"])
    window = Window(item.cine.shape, facts["window_centre"], spec.input.spacing_mm / spacing, size, facts["mirrored"])
    net = torch_network(spec).double()
    told = torch.tensor([[0.0, 0, 1]]).double()
    at = torch.from_numpy(window.positions(result.landmarks.positions[FRAME]))[None]
    targets = gaussian_targets(at.float(), size, TARGET_SIGMA_MM / spec.input.spacing_mm).double()

    def loss(image):
        logits = net(image[None, None], told)[0]
        if landmark is None:
            return sum(published_loss(logits, targets, ~at.isnan().any(-1)).values())
        p = logits.softmax(1)[:, landmark - 1]
        alone = targets[:, landmark - 1]
        pair = torch.stack([p.log(), (1 - p).log()], 1)
        return sum(published_loss(pair, torch.stack([alone, 1 - alone], 1), torch.ones(1, 1) > 0).values())

    image = scale_windows(window.images(item.cine.frames), spec.input.intensity)[FRAME]
    places = some_places(saliency)
    found = finite_differences(loss, torch.from_numpy(image).double(), window.weights(), places, 1e-5)
    np.testing.assert_allclose(found, [saliency[place] for place in places], rtol=0.02, atol=0.002 * saliency.max())
    # outside what the model saw nothing counts
    middle = (np.array(size) - 1) / 2
    outside = (np.abs(window.positions(np.argwhere(np.ones(item.cine.shape))) - middle) > middle + 3).any(1)
    assert outside.any() and (saliency.ravel()[outside] == 0).all()


def test_saliency_gathers_at_the_landmarks(item, maps):
    truth = item.truth.positions[FRAME]

    def density_ratio(saliency, points, radius_mm):
        rows, columns = np.indices(saliency.shape)
        gaps = np.stack([np.hypot(rows - r, columns - c) for r, c in points]) * item.cine.spacing[0]
        near = gaps.min(0) < radius_mm
        return saliency[near].mean() / saliency[~near].mean()

    shown = truth[np.isfinite(truth[:, 0])]
    assert density_ratio(maps.saliency(FRAME), shown, 10) > 5
    for number in (6, 11):
        alone = maps.saliency(FRAME, number)
        assert density_ratio(alone, truth[[number - 1]], 15) > 8
        # its own landmark more than any other
        assert np.hypot(*(np.unravel_index(alone.argmax(), alone.shape) - truth[number - 1])) * 1.7 < 25


def test_heatmaps_peak_where_the_landmarks_are(item, result, maps):
    heatmaps = maps.heatmaps(FRAME)
    assert heatmaps.shape == (11, *item.cine.shape) and heatmaps.min() >= 0 and heatmaps.max() <= 1
    for index in np.flatnonzero(result.landmarks.present[FRAME]):
        peak = np.unravel_index(heatmaps[index].argmax(), item.cine.shape)
        # the landmark follows the motion of the image too, the map shows one frame alone
        assert np.linalg.norm((peak - result.landmarks.positions[FRAME, index]) * item.cine.spacing) < 4
    for index in (0, 1, 2, 3, 6, 7):  # of other views
        assert heatmaps[index].max() < 0.1


def test_a_frame_alone_gives_what_a_whole_detection_gives(item, maps):
    alone = FrameMaps(item.cine, view="4CH", tta=False)
    np.testing.assert_allclose(alone.heatmaps(FRAME), maps.heatmaps(FRAME), atol=0.05)
    assert np.corrcoef(alone.saliency(FRAME).ravel(), maps.saliency(FRAME).ravel())[0, 1] > 0.9
    assert alone.landmarks(FRAME).present[FRAME].sum() == 5 and not alone.landmarks(FRAME).present[FRAME - 1].any()


def test_the_reference_can_be_a_persons(item, maps, result):
    moved = item.truth.replace(positions=item.truth.positions + 4.0)
    at_truth, off = maps.saliency(FRAME, reference=item.truth), maps.saliency(FRAME, reference=moved)
    assert off.sum() > 1.2 * at_truth.sum()  # a loss that is larger pulls harder


@pytest.mark.parametrize("shape", [(256, 256), (300, 220), (100, 90), (200, 180)])
def test_the_weights_of_a_fit_are_what_it_does(shape):
    frames, fit = np.random.default_rng(0).random((2, *shape), np.float32), Fit(shape, (256, 256))
    rows, columns = fit.weights()
    np.testing.assert_allclose(rows @ frames @ columns.T, fit.images(frames), atol=1e-5)


def test_saliency_of_a_network_that_gives_coordinates(item, tmp_path):
    shape = (300, 220)
    torch.manual_seed(1)
    net = PublishedNetwork().eval()
    for number, head in enumerate(net.final[0].children()):
        head[2].bias.data = torch.tensor([60.0 + 12 * number, 180.0 - 9 * number])
    torch.save(net.state_dict(), tmp_path / "net.pt")
    frames = np.random.default_rng(0).random((2, *shape), np.float32)
    frames[:, 40:200, 50:180] += np.linspace(0, 2, 130, dtype=np.float32)
    cine = item.cine.replace(frames=frames, geometry=None, times_ms=None)
    maps = FrameMaps(cine, tmp_path / "net.pt", "4CH", tta=False, engine="torch")
    saliency = maps.saliency(1, 9)
    fit, double = Fit(shape, (256, 256)), net.double()
    image = torch.from_numpy(fit.images(scale_intensity(frames, "file"))[1]).double()
    places = some_places(saliency, 3)
    parts = [
        finite_differences(lambda x, a=axis: double(x[None, None])[0, a, 8], image, fit.weights(), places, 1e-4)
        for axis in (0, 1)
    ]
    np.testing.assert_allclose(np.hypot(*parts), [saliency[place] for place in places], rtol=0.02)
    with pytest.raises(UsageError, match="coordinates"):
        maps.heatmaps(1)
    against = maps.landmarks(1).replace(positions=maps.landmarks(1).positions + 1.0)
    assert 0 < maps.saliency(1, reference=against).max() < np.inf


class Bright(torch.nn.Module):
    """One landmark where the image is bright: a TorchScript model of somebody else's."""

    def forward(self, image):
        landmark = torch.sigmoid(12 * image - 9)
        return torch.cat([landmark, 1 - landmark], 1)


def test_saliency_of_a_torchscript_model(item, tmp_path):
    torch.jit.script(Bright()).save(tmp_path / "bright.pt")
    frames = np.zeros((3, 64, 64), np.float32)
    frames[:, 30:34, 20:24] = 1
    cine = item.cine.replace(frames=frames, geometry=None, spacing=np.ones(2), times_ms=None)
    about = {"landmarks": [1], "spacing_mm": 1.0, "size": [64, 64], "intensity": "file", "one_handed": False}
    (tmp_path / "bright.json").write_text(json.dumps(spec_of_file(tmp_path / "bright.pt", about).entry()))
    maps = FrameMaps(cine, tmp_path / "bright.pt", "2CH", tta=False)
    assert np.unravel_index(maps.heatmaps(0)[0].argmax(), (64, 64))[0] in range(29, 35)
    strongest = np.unravel_index(maps.saliency(0, 1).argmax(), (64, 64))
    assert 28 <= strongest[0] <= 35 and 18 <= strongest[1] <= 25


def test_wrong_calls(item, result, maps):
    with pytest.raises(UsageError, match="frames 0 to 4"):
        maps.heatmaps(5)
    with pytest.raises(UsageError, match="no landmark 1"):
        maps.saliency(FRAME, 1)
    with pytest.raises(UsageError, match="frames"):
        FrameMaps(item.cine.replace(frames=item.cine.frames[:3], times_ms=None), result=result)
    noise = np.random.default_rng(0).random((2, 60, 60), np.float32)
    blank = item.cine.replace(frames=noise, times_ms=None)
    with pytest.raises(UsageError, match="state the view"):
        saliency_map(blank, 0)


def test_the_command_writes_overlays_and_maps_in_the_cines_geometry(item, tmp_path, capsys):
    cine = item.cine.replace(frames=item.cine.frames[:2], times_ms=item.cine.times_ms[:2])
    write_nifti(cine, tmp_path / "four.nii.gz")
    arguments = ["saliency", str(tmp_path / "four.nii.gz"), "-o", str(tmp_path / "out"), "--frame", "all", "--no-tta"]
    assert main(arguments) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "four_saliency.png", "four_heatmaps.png", "four_maps.npz", "four_saliency.nii.gz", "four_heatmaps.nii.gz"
    }  # fmt: skip
    with np.load(tmp_path / "out" / "four_maps.npz") as saved:
        assert saved["heatmaps"].shape == (2, 11, *cine.shape) and saved["frames"].tolist() == [0, 1]
        saliency = saved["saliency"]
    image = read_cine(tmp_path / "out" / "four_saliency.nii.gz")
    np.testing.assert_array_equal(image.frames, saliency)
    np.testing.assert_allclose(image.geometry.origin, item.cine.geometry.origin, atol=1e-3)
    np.testing.assert_allclose(image.geometry.axis1, item.cine.geometry.axis1, atol=1e-5)
    from PIL import Image

    picture = np.asarray(Image.open(tmp_path / "out" / "four_saliency.png").convert("RGB"), int)
    left = picture[:420, : picture.shape[1] // 2]
    assert (left[..., 0] - left[..., 2] > 100).mean() > 0.002  # there is colour over the grey
    assert main(arguments) == 3 and "--overwrite" in capsys.readouterr().err
    assert main([*arguments, "--overwrite", "--frame", "9"]) == 2 and "frames 0 to 1" in capsys.readouterr().err
    assert main([*arguments, "--landmark", "12"]) == 2
