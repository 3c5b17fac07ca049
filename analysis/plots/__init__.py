"""Plots of a store, as PNG, SVG or PDF, the same wherever they are drawn."""

from analysis.plots import curves, forest, ranks, scatter
from analysis.plots.canvas import FORMATS
from analysis.plots.style import in_our_style

draw_curves = in_our_style(curves.draw_curves)
draw_forest = in_our_style(forest.draw_forest)
draw_grid = in_our_style(scatter.draw_grid)
draw_ranks = in_our_style(ranks.draw_ranks)
draw_scatter = in_our_style(scatter.draw_scatter)

__all__ = ["FORMATS", "draw_curves", "draw_forest", "draw_grid", "draw_ranks", "draw_scatter"]
