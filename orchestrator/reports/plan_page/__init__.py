"""A plan as one self-contained page: the bill, the dependencies, and the simulated run as a chart."""

from orchestrator.reports.plan_page.page import render_plan

__all__ = ["render_plan"]
