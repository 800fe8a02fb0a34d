"""Files and folders -> cines, whatever the format."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

from ..cine import Cine
from ..errors import InputError
from .dicom import read_dicom
from .dicom_frames import PREAMBLE, Damaged, is_dicom
from .nifti import read_nifti
from .nrrd import read_nrrd
from .result import Scan, Skipped

#: named in the report of a folder when they lie there and are not read; everything else that is no image is passed by
_OTHER_IMAGES = {
    *(".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".avi", ".mp4"),
    *(".mha", ".mhd", ".vtk", ".vti", ".hdr", ".img", ".mat", ".npy", ".npz", ".h5", ".mrb", ".zip", ".tar", ".7z"),
}
_DICOM_SUFFIXES = (".dcm", ".ima", ".dicom")
_EXPECTED = "a cine: a DICOM series, a 4-D NIfTI (.nii, .nii.gz) or a sequence (.seq.nrrd)"


def scan(path: str | os.PathLike) -> Scan:
    """All cines in `path`: a folder (with its subfolders), a DICOM file, a NIfTI or an NRRD sequence.

    Cines have names that are unique within the scan. What looks like an image and is no cine is in `skipped`, with
    the reason. InputError where no cine is left, naming what was found instead.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(path, _EXPECTED, "nothing there", "Check the path.")
    found = Scan()
    files = files_below(path, found.skipped) if path.is_dir() else [path]
    dicom: list[Path] = []
    rest: list[tuple[Path, str, str]] = []
    for file in files:
        kind, instead = _kind(file)
        if kind == "dicom":
            dicom.append(file)
        elif kind in ("nifti", "nrrd"):
            try:
                found.cines.append(read_nifti(file) if kind == "nifti" else read_nrrd(file))
            except InputError as error:
                found.skipped.append(Skipped.from_error(error))
        else:
            rest.append((file, kind, instead))
    # named like the images beside it, apart from numbers: one of them, and their series has a hole
    series_names = {(file.parent, _without_numbers(file)) for file in dicom}
    there = set(dicom)
    lost: list[Damaged] = []
    others: Counter[str] = Counter()
    for file, kind, instead in rest:
        suffix = file.suffix.lower()
        if suffix == ".gz" and file.with_suffix("") in there:
            continue  # its copy is read
        if (file.parent, _without_numbers(file)) in series_names:
            lost.append(Damaged(file, instead))
        elif kind == "unreadable":
            error = InputError(file, "a file that can be read", instead)
            if file == path:
                raise error
            found.skipped.append(Skipped.from_error(error))
        elif suffix in _DICOM_SUFFIXES:
            dicom.append(file)
        elif suffix in _OTHER_IMAGES or (file == path and suffix):
            others[suffix] += 1
    series = read_dicom(dicom, lost)
    found = Scan(_unique_names(series.cines + found.cines), series.skipped + found.skipped)
    for suffix, count in sorted(others.items()):
        found.skipped.append(Skipped(str(path), "DICOM, NIfTI or NRRD", f"{count} {suffix} file(s)"))
    if not found.cines:
        raise _nothing(path, files, found.skipped)
    return found


def read_cine(path: str | os.PathLike) -> Cine:
    """The one cine in `path`. InputError where there is none, or more than one (they are listed)."""
    found = scan(path)
    if len(found.cines) > 1:
        listed = "; ".join(f"{cine.name} ({cine.n_frames} frames, {cine.source})" for cine in found.cines[:20])
        raise InputError(path, "one cine", f"{len(found.cines)}: {listed}", "Give the folder or file of one of them.")
    return found.cines[0]


def files_below(folder: Path, skipped: list[Skipped]) -> list[Path]:
    """All files below, hidden ones left out, in an order that does not depend on the file system; subfolders that
    cannot be read go to `skipped`. Links to folders are followed, each folder once. InputError: the folder itself
    cannot be read."""
    files = []
    errors: list[OSError] = []
    seen = {os.path.realpath(folder)}
    for root, folders, names in os.walk(folder, onerror=errors.append, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and _is_new(Path(root) / name, seen))
        files += [Path(root) / name for name in sorted(names) if not name.startswith(".")]
    for error in errors:
        told = InputError(error.filename or folder, "a folder that can be read", str(error))
        if Path(error.filename or folder) == folder:
            raise told
        skipped.append(Skipped.from_error(told))
    return [file for file in files if file.is_file() or not file.exists()]  # a link that leads nowhere is told


def _is_new(folder: Path, seen: set[str]) -> bool:
    """Whether no link has led to this folder before; then it is remembered."""
    place = os.path.realpath(folder)
    if place in seen:
        return False
    seen.add(place)
    return True


def _kind(file: Path) -> tuple[str, str]:
    """("dicom", "nifti" or "nrrd", ""), or ("unreadable" or "other", what was found instead of a DICOM image)."""
    name = file.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return "nifti", ""
    if name.endswith((".nrrd", ".nhdr")):
        return "nrrd", ""
    try:
        with file.open("rb") as stream:
            head = stream.read(PREAMBLE)
    except OSError as error:
        return "unreadable", str(error)
    if is_dicom(head):
        return "dicom", ""
    if not head:
        return "other", "an empty file"
    return "other", "something else under its name" if any(head) else "nothing but zeros where it begins"


def _without_numbers(file: Path) -> str:
    """A file's name without its numbers, decimal or hexadecimal, and without what packing adds."""
    return re.sub("[0-9a-f]*[0-9][0-9a-f]*", "#", file.name.lower().removesuffix(".gz"))


def _unique_names(cines: list[Cine]) -> list[Cine]:
    taken: set[str] = set()
    named = []
    for cine in cines:
        name, number = cine.name, 2
        while name.lower() in taken:  # file systems that ignore case
            name, number = f"{cine.name}_{number}", number + 1
        taken.add(name.lower())
        named.append(cine if name == cine.name else cine.replace(name=name))
    return named


def _nothing(path: Path, files: list[Path], skipped: list[Skipped]) -> InputError:
    if len(skipped) == 1:
        return skipped[0].to_error()
    if skipped:
        reasons = Counter(item.found for item in skipped)
        first = {item.found: Path(item.source).name for item in reversed(skipped)}
        parts = [
            f"{found} ({first[found]}{f' and {n - 1} more' if n > 1 else ''})" for found, n in reasons.most_common(5)
        ]
        more = f"; and {len(reasons) - 5} other reasons" if len(reasons) > 5 else ""
        return InputError(path, _EXPECTED, f"none in {len(files)} files: {'; '.join(parts)}{more}", skipped[0].advice)
    if not files:
        return InputError(path, _EXPECTED, "an empty folder", "Give the folder that holds the series.")
    suffixes = Counter(file.suffix.lower() or "no suffix" for file in files)
    kinds = ", ".join(f"{count} × {suffix}" for suffix, count in suffixes.most_common(4))
    return InputError(path, _EXPECTED, f"{len(files)} file(s) that are no images ({kinds})", "Check the path.")
