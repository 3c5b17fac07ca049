"""The arguments and options that commands have, each declared once."""

from pathlib import Path
from typing import Annotated

import typer

SweepFile = Annotated[
    Path,
    typer.Argument(
        metavar="SWEEP", help="A sweep file (YAML), or the name of one that `kdsweep sweeps` lists."
    ),
]

Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set a key of the sweep, as student.epochs=3 or 'seeds=[0, 1]' (the value is YAML; null takes the "
        "key away). Repeat for several.",
    ),
]

StoreOption = Annotated[
    str | None,
    typer.Option("--store", envvar="KDSWEEP_STORE", help="Where the results are kept."),
]

StoreAddress = Annotated[
    str, typer.Argument(metavar="STORE", help="The results: a folder, or an address (s3://...).")
]

Source = Annotated[
    str,
    typer.Argument(
        metavar="STORE|SWEEP",
        help="A store's folder or address (s3://...): all in it. Or a sweep file: exactly its trials.",
    ),
]

StoreOfSweep = Annotated[
    str | None,
    typer.Option(
        "--store", help="Where the results of a sweep file are kept. [env var: KDSWEEP_STORE]"
    ),
]

DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        envvar="KDSWEEP_DATA",
        help="The folder of data sets, or its address (s3://...): each node fetches what it needs, once.",
    ),
]

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, however large the bill.")]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")]

Deadline = Annotated[
    str | None,
    typer.Option(help="Save everything and leave within this time: 11h, 90m, 45s. Exit code 3."),
]

Prometheus = Annotated[
    bool,
    typer.Option(
        "--prometheus",
        envvar="KDSWEEP_PROMETHEUS",
        help="Tell trials by state, share and images per second among Ray's metrics.",
    ),
]

Cpus = Annotated[
    int | None, typer.Option(min=1, help="CPUs that this machine's Ray may use; all by default.")
]

Gpus = Annotated[
    int | None, typer.Option(min=0, help="GPUs that this machine's Ray may use; all by default.")
]

RayAddress = Annotated[
    str | None,
    typer.Option(help="HOST:PORT of a running Ray cluster, or auto for this machine's."),
]

ScaleTo = Annotated[
    str | None,
    typer.Option(
        "--scale-to",
        metavar="GPUS[,CPUS]",
        help="What the cluster's autoscaler may bring it to: jobs are handed out for it, and wait for it.",
    ),
]

DashboardAddress = Annotated[
    str | None,
    typer.Option(
        "--address",
        envvar="RAY_API_SERVER_ADDRESS",
        help="The cluster's dashboard: http://HOST:8265.",
    ),
]

JobId = Annotated[
    str, typer.Argument(metavar="JOB", help="A job's id, as `kdsweep jobs` shows it.")
]

Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="KEY=VALUE",
        help="Only these rows: KEY=VALUE[,VALUE] or KEY!=VALUE; * and ? match anything. "
        "Keys: dataset, teacher, student, pair, augmentation, seed, source, and any hyper-parameter, "
        "as student.temperature. Repeat to narrow.",
    ),
]

GroupBy = Annotated[
    str,
    typer.Option(
        "--group-by",
        metavar="KEY[,KEY]",
        help="One table, and one pooled estimate, per dataset, teacher, student, pair, setting or source; "
        "plots keep a group's panels together.",
    ),
]

Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        help="s_test_loss, s_accuracy, t_stddev (or --predictor), correlation or regret; repeat for several. All by default.",
    ),
]

Predictor = Annotated[
    str,
    typer.Option(
        "--predictor",
        metavar="NAME",
        help="What stands for T. stddev: t_stddev, entropy, confidence, covariance_trace, or one of your own.",
    ),
]

SamplesOfForest = Annotated[
    int | None,
    typer.Option(
        "--bootstrap",
        min=100,
        max=1_000_000,
        help="With --kind forest: samples of each interval. [default: 10000]",
    ),
]

Samples = Annotated[
    int,
    typer.Option(
        "--bootstrap", min=100, max=1_000_000, help="Samples of each interval or simulation."
    ),
]

StatisticsSeed = Annotated[
    int, typer.Option("--statistics-seed", min=0, help="Of bootstrap and permutation samples.")
]
