"""A small host for Slicer's scripted modules: PySide6 (offscreen) where Slicer has PythonQt, slicer-core for MRML.

`install(module_path)` makes the names `qt`, `ctk`, `slicer.ScriptedLoadableModule`, `slicer.i18n` and
`slicer.parameterNodeWrapper` importable and `slicer.app` an application with a window, so that a module's own,
unmodified code runs. MRML is Slicer's own C++; only what needs Qt is stood in for. What this cannot prove is what
PythonQt does otherwise than PySide6; `qt_names` narrows that gap where the two read properties differently.
"""

from .application import Host, install, make_modules

__all__ = ["Host", "install", "make_modules"]
