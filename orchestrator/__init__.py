"""The orchestrator: from a sweep YAML to finished rows in the store.

    sweep.load_sweep -> plan.expand -> scheduling.Scheduler -> driver (Ray Tune) -> worker -> store

Only `driver`, `searcher` and `worker` know Ray; `store` knows neither Ray nor torch.
"""
