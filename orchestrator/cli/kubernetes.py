"""The command that writes a sweep as objects of Kubernetes."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import Changes, Json, SweepFile
from orchestrator.cli.output import write_json, write_text

Memory = Annotated[
    str | None,
    typer.Option(help="Of one worker, as 32Gi; 4Gi, and 4Gi for each job that its GPUs hold."),
]


def add_commands(app: typer.Typer) -> None:
    """Add it to the command `kdsweep`."""
    app.command(
        epilog="Example: `kdsweep kubernetes paper_cifar100 --image registry.example/kdsweep:0.1.0 --claim kdsweep "
        "--gpus 8 | kubectl apply --server-side -f -`"
    )(kubernetes)


def kubernetes(
    sweep: SweepFile,
    image: Annotated[str, typer.Option(help="With kdsweep in it; see the Dockerfile.")],
    gpus: Annotated[
        int, typer.Option(min=0, help="At most so many, over all workers; with 0 say --workers.")
    ],
    changes: Changes = None,
    claim: Annotated[
        str | None,
        typer.Option(help="The volume claim that all pods see as /shared."),
    ] = None,
    claim_size: Annotated[
        str | None, typer.Option(help="Of a claim that is made; 100Gi by default.")
    ] = None,
    storage_class: Annotated[
        str | None, typer.Option(help="Of a claim that is made; one that many nodes can write to.")
    ] = None,
    claim_exists: Annotated[
        bool, typer.Option("--claim-exists", help="The claim is there already.")
    ] = False,
    store: Annotated[
        str | None, typer.Option(help="Below /shared (/shared/store), or an address (s3://...).")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Below /shared (/shared/data), or an address (s3://...).")
    ] = None,
    gpus_per_worker: Annotated[int, typer.Option(min=1, help="GPUs of one pod.")] = 1,
    workers: Annotated[
        int | None, typer.Option(min=1, help="With --gpus 0: at most so many pods.")
    ] = None,
    cpus_per_worker: Annotated[
        int | None, typer.Option(min=1, help="For jobs; as many as the sweep's resources ask for.")
    ] = None,
    memory: Memory = None,
    shared_memory: Annotated[str, typer.Option(help="Size of /dev/shm.")] = "1Gi",
    name: Annotated[
        str | None, typer.Option(help="Of the RayJob; kdsweep- and the sweep's name by default.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Left out, kubectl's own.")
    ] = None,
    token_secret: Annotated[
        str, typer.Option(help="The secret whose auth_token lets into the cluster.")
    ] = "kdsweep-token",  # noqa: S107 - the name of a secret, not one
    service_account: Annotated[str | None, typer.Option(help="Of all pods.")] = None,
    pull_secret: Annotated[str | None, typer.Option(help="For a private registry.")] = None,
    env_secret: Annotated[
        list[str] | None,
        typer.Option(help="Its keys become environment variables, as for s3://; may be repeated."),
    ] = None,
    node_selector: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Of the workers' nodes; may be repeated."),
    ] = None,
    tolerate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY[=VALUE][:EFFECT]",
            help="A taint of nodes that workers may run on; may be repeated.",
        ),
    ] = None,
    spot: Annotated[
        bool, typer.Option("--spot", help="Workers may run on spot nodes, too.")
    ] = False,
    queue: Annotated[
        str | None,
        typer.Option(help="Of Kueue: the job waits in it, and then has all workers at once."),
    ] = None,
    user: Annotated[
        int, typer.Option(min=1, help="Id of the user that pods run as, and own files as.")
    ] = 1000,
    group: Annotated[
        int | None, typer.Option(min=1, help="As --user; by default the same.")
    ] = None,
    retries: Annotated[
        int, typer.Option(min=0, help="New clusters after one that stopped or lost its head.")
    ] = 3,
    keep: Annotated[
        str, typer.Option(help="How long the cluster stays after the end: 10m, 1h.")
    ] = "10m",
    time_limit: Annotated[
        str | None, typer.Option(help="After it the cluster is ended, and not tried again: 48h.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option(help="As resume: also what failed by an error of the program.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a file, and not to the terminal.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print a sweep as a RayJob of KubeRay's, with its ConfigMap and its claim, for kubectl."""
    from orchestrator.cli.durations import seconds
    from orchestrator.cluster.kubernetes.asked import Asked, request_of
    from orchestrator.cluster.kubernetes.manifests import as_list, as_yaml, documents
    from orchestrator.language.sweep import load_sweep

    asked = Asked(
        image=image,
        gpus=gpus,
        gpus_per_worker=gpus_per_worker,
        workers=workers,
        cpus_per_worker=cpus_per_worker,
        memory=memory,
        shared_memory=shared_memory,
        claim=claim,
        claim_exists=claim_exists,
        claim_size=claim_size,
        storage_class=storage_class,
        store=store,
        data=data,
        name=name,
        namespace=namespace,
        token_secret=token_secret,
        service_account=service_account,
        pull_secret=pull_secret,
        env_secrets=tuple(env_secret or ()),
        node_selectors=tuple(node_selector or ()),
        tolerate=tuple(tolerate or ()),
        spot=spot,
        queue=queue,
        user=user,
        group=group,
        retries=retries,
        keep_s=round(seconds(keep, "--keep")),
        time_limit_s=None if time_limit is None else round(seconds(time_limit, "--time-limit")),
        retry_failed=retry_failed,
    )
    objects = documents(request_of(load_sweep(sweep, changes or ()), asked))
    if as_json:
        write_json(as_list(objects), output)
    else:
        write_text(as_yaml(objects), output)
