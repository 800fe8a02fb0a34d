"""Writing a study for other programs. `export_study` is the way in; each format is one module of `formats`."""

from .registry import ExportOptions, Format, export_study, format_named, known_formats, parse_formats

__all__ = ["ExportOptions", "Format", "export_study", "format_named", "known_formats", "parse_formats"]
