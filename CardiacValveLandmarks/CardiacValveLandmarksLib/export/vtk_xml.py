"""VTK's XML writers, made to fail loudly: to a file they return success on a full disk, or end the process."""

from __future__ import annotations

from pathlib import Path


def write_vtk_xml(writer, path: Path) -> None:
    """Write what a vtkXMLWriter holds to `path`. OSError where VTK or the disk fails."""
    writer.WriteToOutputStringOn()
    if writer.Write() != 1 or writer.GetErrorCode():
        raise OSError(f"VTK could not write {path.name}")
    path.write_text(writer.GetOutputString(), encoding="utf-8", newline="\n")
