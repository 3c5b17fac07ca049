"""One self-contained HTML page about a store: no remote assets, a little JavaScript of its own."""

from analysis.report.page import Report, render_report

__all__ = ["Report", "render_report"]
