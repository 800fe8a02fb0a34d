"""What every kind of mesh can do, and which file is of which kind."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from ...errors import InputError, UsageError
from ...packages import how_to_install

#: suffix -> module here, importable module it needs, optional dependency that brings it
KINDS: Mapping[str, tuple[str, str | None, str]] = {
    ".inp": ("abaqus_deck", None, ""),
    ".feb": ("febio_model", None, ""),
    ".vtp": ("vtk_files", "vtkmodules", "vtk"),
    ".vtu": ("vtk_files", "vtkmodules", "vtk"),
    ".msh": ("gmsh_files", "meshio", "mesh"),
}


class UserMesh(Protocol):
    """A mesh that was read. Positions are in the mesh's own unit and space."""

    def set_names(self) -> tuple[str, ...]:
        """The sets whose nodes can be asked for."""
        ...

    def nodes(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(n,) ids and (n, 3) positions of a set. KeyError where there is no such set."""
        ...

    def write(
        self,
        path: Path,
        prefix: str,
        ids: np.ndarray,
        times: np.ndarray,
        displacement: np.ndarray,
        distance: np.ndarray,
    ) -> tuple[str, ...]:
        """Write the mesh with the motion of `ids` to `path` (and files beside it with its stem).

        times (T,) s, displacement (T, n, 3) and distance (n,) in the mesh's unit. Returns remarks for the user.
        """
        ...


def open_mesh(path: str | os.PathLike) -> UserMesh:
    """Read a mesh. InputError where it cannot be read, UsageError for a kind that is not known or not installed."""
    path = Path(path)
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"{path}: expected a mesh ({', '.join(KINDS)}), found {path.suffix or 'no suffix'!r}.")
    if not path.is_file():
        raise InputError(path, "a mesh file", "nothing there", "Check the path.")
    module, needed, extra = kind
    if needed is not None and importlib.util.find_spec(needed) is None:
        raise UsageError(f"{path.suffix} meshes need the Python package {needed}: {how_to_install(needed, extra)}")
    return importlib.import_module(f".{module}", __package__).read(path)
