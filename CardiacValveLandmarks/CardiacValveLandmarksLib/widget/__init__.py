"""The panel of the Slicer module, one small module a section. Only here are `qt` and `ctk` used.

Written so that PythonQt (Slicer) and PySide6 (tests) both understand it: Qt properties are read as attributes and set
with setters, signals are connected with `signal.connect`. What the panel does is in `mrml.logic`.
"""
