"""Plots of a store, as PNG, SVG or PDF."""

from analysis.plots.canvas import FORMATS
from analysis.plots.curves import draw_curves
from analysis.plots.forest import draw_forest
from analysis.plots.ranks import draw_ranks
from analysis.plots.scatter import draw_grid, draw_scatter

__all__ = ["FORMATS", "draw_curves", "draw_forest", "draw_grid", "draw_ranks", "draw_scatter"]
