"""One self-contained page a study: pictures, curves, rings, measures, and every doubt in plain words."""

from .report import Origin, report_html, write_report

__all__ = ["Origin", "report_html", "write_report"]
