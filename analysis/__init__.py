"""From the store to evidence: cells, correlations, tables and plots.

Reads the store through `orchestrator.store`; imports neither Ray nor torch.
"""
