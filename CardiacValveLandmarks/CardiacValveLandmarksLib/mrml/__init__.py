"""Cines, landmarks and annuli in a Slicer scene. The only part of the library that knows RAS, `slicer` and (with the
VTK export) `vtk`; it never needs a window."""
