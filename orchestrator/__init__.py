"""The orchestrator: from a sweep YAML to finished rows in the store.

    language -> planning -> driver (Ray Tune) -> worker -> store -> reports

A room per reason; docs/architecture.md draws them, and which may know which.
"""
