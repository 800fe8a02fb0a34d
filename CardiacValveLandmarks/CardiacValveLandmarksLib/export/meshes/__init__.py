"""Meshes of other programs: nodes of a named set are read, and their motion is written in the mesh's own format."""

from .mesh import KINDS, UserMesh, open_mesh

__all__ = ["KINDS", "UserMesh", "open_mesh"]
