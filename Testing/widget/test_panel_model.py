"""The section Model: a model of the user's own, and where a model runs."""

import re
import shutil
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import CardiacValveLandmarksLib
import pytest
from CardiacValveLandmarksLib.widget import devices, packages

BUILT_IN = Path(CardiacValveLandmarksLib.__file__).parent / "resources" / "phantom-heatmap.onnx"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CVL_CACHE", str(tmp_path / "cache"))


def listed(panel) -> list[str]:
    return [panel.ui.modelSelector.itemText(row) for row in range(panel.ui.modelSelector.count)]


def add(panel, host, path, name="mine", landmarks="", spacing="") -> str:
    ui = panel.ui
    ui.addModelButton.setChecked(True)
    ui.modelFileSelector.setCurrentPath(str(path))
    ui.modelNameEdit.setText(name)
    ui.modelLandmarksEdit.setText(landmarks)
    ui.modelSpacingEdit.setText(spacing)
    ui.registerModelButton.click()
    assert host.process(60, until=lambda: not panel.busy)
    return ui.messageLabel.text


def test_a_model_file_is_added_used_and_removed(panel, host, tmp_path, shot):
    path = tmp_path / "My Model 2.onnx"
    shutil.copy(BUILT_IN, path)
    assert not panel.ui.addModelBox.isVisibleTo(panel.widget)
    panel.ui.addModelButton.setChecked(True)
    assert panel.ui.addModelBox.isVisibleTo(panel.widget) and not panel.ui.registerModelButton.enabled
    assert "Choose a file" in panel.ui.registerModelButton.toolTip
    panel.ui.modelFileSelector.setCurrentPath(str(path))
    assert panel.ui.modelNameEdit.text == "my-model-2" and panel.ui.registerModelButton.enabled
    shot("panel-add-model")
    assert add(panel, host, path).startswith("Added: the user's My Model 2")
    assert panel.parameters.model == "mine" and "the user's My Model 2" in listed(panel)
    assert not panel.ui.addModelBox.isVisibleTo(panel.widget) and panel.ui.modelStateLabel.text == "ready"
    panel.ui.removeModelButton.click()
    assert "its file stays" in panel.ui.messageLabel.text and path.is_file()
    assert panel.parameters.model == "phantom-heatmap" and "the user's My Model 2" not in listed(panel)


def test_what_is_no_model_or_has_a_taken_name_is_told(panel, host, tmp_path):
    other = tmp_path / "notes.pt"
    other.write_text("no weights")
    before = listed(panel)
    assert "TorchScript archive or an .onnx file" in add(panel, host, other)
    shutil.copy(BUILT_IN, tmp_path / "mine.onnx")
    assert "is taken" in add(panel, host, tmp_path / "mine.onnx", name="phantom-heatmap")
    assert "expected numbers" in add(panel, host, tmp_path / "mine.onnx", landmarks="one, two")
    assert "no file of that name" in add(panel, host, tmp_path / "gone.onnx")
    assert listed(panel) == before and panel.parameters.model == "phantom-heatmap"


def test_a_torchscript_model_is_a_program_and_asked_about(make_host, tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "scripted.pt"
    torch.jit.save(torch.jit.script(torch.nn.Conv2d(1, 3, 3, padding=1)), str(path))
    host = make_host(answers=[False, True])
    widget = host.make_widget()
    widget.enter()
    panel = widget.panel
    assert add(panel, host, path, landmarks="1,2") == "" and "the user's scripted" not in listed(panel)
    assert add(panel, host, path, landmarks="1,2", spacing="1.4").startswith("Added")
    assert len(host.asked) == 2 and "program" in host.asked[0]
    spec = panel.model.spec()
    assert spec.landmarks == (1, 2) and spec.input.spacing_mm == 1.4
    widget.cleanup()


def test_a_model_added_elsewhere_is_listed_when_the_module_is_opened(panel, tmp_path):
    from CardiacValveLandmarksLib.models.catalogue import register

    shutil.copy(BUILT_IN, tmp_path / "tuned.onnx")
    register(tmp_path / "tuned.onnx", "tuned", title="fine-tuned on ten of ours")
    panel.exit()
    panel.enter()
    assert "fine-tuned on ten of ours" in listed(panel)


def fake_torch(monkeypatch, count: int) -> None:
    torch = ModuleType("torch")
    torch.__spec__ = ModuleSpec("torch", None)
    torch.cuda = SimpleNamespace(
        is_available=lambda: count > 0, device_count=lambda: count, get_device_name=lambda number: f"Card {number}"
    )
    monkeypatch.setitem(sys.modules, "torch", torch)


@pytest.fixture(autouse=True)
def forget_devices():
    look = devices.look
    look.cache_clear()
    yield
    look.cache_clear()


def device_names(panel) -> list[str]:
    return [panel.ui.deviceSelector.itemText(row) for row in range(panel.ui.deviceSelector.count)]


def test_torch_is_not_imported_to_list_devices(panel, monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(packages, "installed", lambda name: True)
    panel.refresh()
    assert device_names(panel) == ["any device", "CPU", "look for a GPU…"] and "torch" not in sys.modules
    monkeypatch.setattr(packages, "installed", lambda name: name != "torch")
    panel.refresh()
    assert device_names(panel) == ["any device", "CPU"]


def test_a_gpu_is_found_chosen_and_stated(selected, host, monkeypatch, detector):
    panel = selected
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(packages, "installed", lambda name: True)
    panel.refresh()

    def look() -> list[str]:
        fake_torch(monkeypatch, 1)
        return ["cuda:0"]

    monkeypatch.setattr(devices, "look", look)
    panel.ui.deviceSelector.setCurrentIndex(2)
    assert host.process(20, until=lambda: not panel.busy)
    assert "Found: GPU 0: Card 0" in panel.ui.messageLabel.text and panel.parameters.device == "auto"
    panel.ui.deviceSelector.setCurrentIndex(device_names(panel).index("GPU 0: Card 0"))
    assert panel.parameters.device == "cuda:0" and re.match("CUDA:0, PyTorch", panel.ui.modelInfoLabel.text)
    asked = {}
    call = type(detector).__call__
    monkeypatch.setattr(type(detector), "__call__", lambda self, cine, **o: asked.update(o) or call(self, cine, **o))
    panel.ui.detectButton.click()
    assert host.process(60, until=lambda: not panel.busy)
    assert asked["device"] == "cuda:0"


def test_a_device_of_another_computer_is_kept_and_refused(panel, monkeypatch):
    fake_torch(monkeypatch, 0)
    panel.logic._detector = None
    panel.parameters.device = "cuda:1"
    panel.refresh()
    assert "cuda:1 is not here" in panel.model.why_not() and "GPU 1 (not known here)" in device_names(panel)
    panel.ui.deviceSelector.setCurrentIndex(1)
    assert panel.parameters.device == "cpu" and panel.model.why_not() == ""


def test_an_installation_that_cannot_be_imported_is_told(panel, monkeypatch):
    def install(package):
        raise ImportError("numpy.core.multiarray failed to import")

    monkeypatch.setattr(packages, "missing_for", lambda spec, device="auto": "torch")
    monkeypatch.setattr(packages, "install", install)
    panel.refresh()
    panel.ui.installButton.click()
    assert "multiarray failed to import" in panel.ui.messageLabel.text
