"""Abaqus and CalculiX decks (.inp): every line of the user's stays as it is, two *INCLUDE lines are added."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...files import safe_name
from ..abaqus_text import amplitudes, boundary

_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def read(path: Path) -> AbaqusDeck:
    try:
        # byte for byte: decks may be in any one-byte encoding
        return AbaqusDeck(path, path.read_bytes().decode("latin-1"))
    except OSError as error:
        raise InputError(path, "a deck that can be read", str(error)) from error


def _keyword(line: str) -> tuple[str, dict[str, str]]:
    """("*NSET", {"NSET": "rim", "GENERATE": ""}): upper case but for values."""
    parts = [part.strip() for part in line.split(",")]
    options = {}
    for part in parts[1:]:
        name, _, value = part.partition("=")
        options[name.strip().upper()] = value.strip().strip('"')
    return parts[0].upper().replace(" ", ""), options


def _number(text: str) -> float:
    """0 where nothing is written; Fortran's exponents (1.0D+01) too."""
    return float(text.upper().replace("D", "E")) if text.strip() else 0.0


class AbaqusDeck:
    """A deck with global node numbers (no parts and instances)."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        # not splitlines: of text in another encoding it takes letters for ends of lines
        self._lines = _LINES.findall(text)
        self._points: dict[int, tuple[float, ...]] = {}
        #: upper-case name -> (name as written, ids)
        self._sets: dict[str, tuple[str, list[int]]] = {}
        #: upper-case name -> members that were not defined before it
        self._unknown: dict[str, list[str]] = {}
        #: upper-case names of sets whose degrees of freedom are turned
        self._turned: list[str] = []
        self._first_step = self._end_of_step = None
        #: upper-case names of amplitudes, and of the files of *INCLUDE
        self._amplitudes: list[str] = []
        self._included: list[str] = []
        #: nodes, by number or set, that the deck's own conditions act on
        self._held: list[str] = []
        self._scan()
        if not self._points:
            raise InputError(
                path, "nodes (*NODE)", "none" + (" (they may be in an *INCLUDE)" if self._included else "")
            )

    def _scan(self) -> None:
        word, options, begun, first = "", {}, "", 0
        for number, line in enumerate(self._lines):
            stripped = line.strip()
            if not stripped or stripped.startswith("**"):
                continue
            try:
                if stripped.startswith("*") or begun:
                    first = first if begun else number
                    stripped = begun + stripped
                    # a keyword line that ends with a comma goes on in the next
                    begun = stripped if stripped.endswith(",") else ""
                    word, options = _keyword(stripped)
                    if not begun:
                        self._start(word, options, first)
                elif word == "*NODE":
                    parts = stripped.split(",")
                    node = int(parts[0])
                    self._points[node] = tuple(_number(part) for part in [*parts[1:4], "", "", ""][:3])
                    if "NSET" in options:
                        self._add(options["NSET"], [node])
                elif word == "*BOUNDARY":
                    self._held.append(stripped.split(",")[0].strip().strip('"').upper())
                elif word == "*NSET":
                    name = options.get("NSET", "")
                    self._add(name, self._members(name.upper(), stripped, "GENERATE" in options))
            except (ValueError, IndexError) as error:
                raise InputError(
                    self._path, f"an Abaqus deck; line {number + 1}", f"{stripped[:60]!r}: {error}"
                ) from error

    def _start(self, word: str, options: dict[str, str], number: int) -> None:
        if word in ("*PART", "*INSTANCE", "*ASSEMBLY"):
            raise InputError(
                self._path,
                "a deck with node numbers for the whole model",
                f"{word} in line {number + 1}",
                "Write the model without parts and assemblies (in Abaqus/CAE: model attributes).",
            )
        if word == "*SYSTEM" or (word == "*NODE" and options.get("SYSTEM", "R").upper() not in ("", "R")):
            raise InputError(
                self._path,
                "nodes in global rectangular coordinates",
                f"{word} in line {number + 1} with a system of its own",
                "Write the deck with global coordinates.",
            )
        if word == "*TRANSFORM":
            self._turned.append(options.get("NSET", "").upper())
        if word == "*INCLUDE":
            self._included.append(options.get("INPUT", "").upper())
        if word == "*AMPLITUDE":
            self._amplitudes.append(options.get("NAME", "").upper())
        if word == "*STEP" and self._first_step is None:
            self._first_step = number
        if word == "*ENDSTEP" and self._end_of_step is None:
            self._end_of_step = number

    def _members(self, name: str, line: str, generate: bool) -> list[int]:
        words = [part.strip() for part in line.split(",") if part.strip()]
        if generate:
            start, stop, *step = (int(w) for w in words)
            return list(range(start, stop + 1, step[0] if step else 1))
        members: list[int] = []
        for w in words:
            if w.lstrip("+").isdigit():
                members.append(int(w))
            elif w.upper() in self._sets:
                members += self._sets[w.upper()][1]
                self._unknown.setdefault(name, []).extend(self._unknown.get(w.upper(), ()))
            else:
                self._unknown.setdefault(name, []).append(w)
        return members

    def _add(self, name: str, ids: list[int]) -> None:
        self._sets.setdefault(name.upper(), (name, []))[1].extend(ids)

    def set_names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self._sets.values())

    def nodes(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        ids = list(dict.fromkeys(self._sets[name.upper()][1]))
        if unknown := self._unknown.get(name.upper()):
            where = " (files of *INCLUDE are not read)" if self._included else ""
            raise InputError(
                self._path, f"the members of set {name}", f"{unknown[0]!r}, which is defined nowhere before it{where}"
            )
        for turned in self._turned:
            if set(ids) & set(self._sets.get(turned, ("", []))[1]):
                raise InputError(
                    self._path,
                    f"nodes of set {name} whose degrees of freedom are the global x, y, z",
                    f"*TRANSFORM of set {turned}",
                    "Take these nodes out of *TRANSFORM: the motion is in global coordinates.",
                )
        missing = [node for node in ids if node not in self._points]
        if missing:
            raise InputError(self._path, f"the nodes of set {name}", f"no node {missing[0]} in the file")
        return np.array(ids, dtype=int), np.array([self._points[node] for node in ids]).reshape(-1, 3)

    def write(self, path: Path, prefix: str, ids, times, displacement, distance) -> tuple[str, ...]:
        valve = re.escape(prefix.rpartition("_")[2].upper())
        ours = re.compile(rf"_{valve}(_[0-9A-F]{{8}})?_AMPLITUDES\.INP$")
        if any(name.startswith(f"{prefix.upper()}_") for name in self._amplitudes) or any(
            ours.search(name) for name in self._included
        ):
            advice = "Start from the deck as it was before."
            raise InputError(self._path, f"a deck without amplitudes {prefix}_…", "this motion already", advice)
        # the deck may be in any encoding, so what it names is in letters that all of them have
        stem = safe_name(path.stem, "deck")
        if stem != path.stem:  # two decks' names may become one
            stem += f"_{zlib.crc32(path.stem.encode()):08x}"
        before, within = (path.with_name(f"{stem}_{part}.inp") for part in ("amplitudes", "boundary"))
        numbers = [int(node) for node in ids]
        before.write_text(amplitudes(numbers, times, displacement, prefix), encoding="ascii")
        within.write_text(boundary(numbers, prefix), encoding="ascii")
        lines = list(self._lines)
        if lines and not lines[-1].endswith(("\n", "\r")):
            lines[-1] += "\n"
        end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
        remarks = []
        if self._first_step is None or self._end_of_step is None:
            lines.append(f"*INCLUDE, INPUT={before.name}{end}")
            none = "no step in the deck itself" if self._included else "no step in the deck"
            remarks.append(f"There is {none}: include {within.name} in the step that is to move the nodes.")
        else:
            lines.insert(self._end_of_step, f"*INCLUDE, INPUT={within.name}{end}")
            lines.insert(self._first_step, f"*INCLUDE, INPUT={before.name}{end}")
            remarks.append(f"The first step moves the nodes; its time should reach {times[-1]:g} s.")
        held = {int(name) for name in self._held if name.isdigit()}
        held.update(*(self._sets.get(name, ("", []))[1] for name in self._held))
        if both := held & set(numbers):
            remarks.append(
                f"The deck's own *BOUNDARY acts on {len(both)} of the same nodes: take it off them, or one condition "
                "overrides the other."
            )
        if self._included:
            remarks.append("The deck's own *INCLUDE files are not copied: put them where it looks for them.")
        path.write_bytes("".join(lines).encode("latin-1"))
        return tuple(remarks)
