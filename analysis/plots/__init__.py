"""Plots of a store, as PNG, SVG or PDF, the same wherever they are drawn; and the numbers that stand in them."""

from analysis.plots import curves, forest, pooled, ranks, scatter
from analysis.plots.canvas import FORMATS
from analysis.plots.curves import curve_numbers
from analysis.plots.forest import forest_numbers
from analysis.plots.pooled import clouds, pooled_numbers
from analysis.plots.ranks import rank_numbers
from analysis.plots.scatter import scatter_numbers
from analysis.plots.sheet import Sheet
from analysis.plots.style import in_our_style

draw_curves = in_our_style(curves.draw_curves)
draw_forest = in_our_style(forest.draw_forest)
draw_grid = in_our_style(scatter.draw_grid)
draw_pooled = in_our_style(pooled.draw_pooled)
draw_ranks = in_our_style(ranks.draw_ranks)
draw_scatter = in_our_style(scatter.draw_scatter)

__all__ = [
    "FORMATS",
    "Sheet",
    "clouds",
    "curve_numbers",
    "draw_curves",
    "draw_forest",
    "draw_grid",
    "draw_pooled",
    "draw_ranks",
    "draw_scatter",
    "forest_numbers",
    "pooled_numbers",
    "rank_numbers",
    "scatter_numbers",
]
