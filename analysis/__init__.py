"""From the store to evidence: cells, correlations, tables, plots and the report.

Reads the store through `orchestrator.store.store`; imports neither Ray nor torch.
"""
