"""The columns of the store's tables, declared once, with a version.

Columns are only ever added, and a version is never given a second meaning. So a file of an older version is
read by filling its missing columns with nulls; a newer one is refused, because nobody here knows what its
columns mean.
"""

import pyarrow as pa

from trainer.problems import PlacedError

SCHEMA_VERSION = 4
VERSION_KEY = b"kdsweep_schema_version"


def _schema(**columns: pa.DataType) -> pa.Schema:
    metadata = {VERSION_KEY: str(SCHEMA_VERSION).encode()}
    return pa.schema(list(columns.items()), metadata=metadata)


_TIME = pa.timestamp("us", tz="UTC")

_IDENTITY = {
    "fingerprint": pa.string(),
    "kind": pa.string(),
    "dataset": pa.string(),
    "teacher": pa.string(),
    "student": pa.string(),
    "augmentation": pa.string(),
    "seed": pa.int64(),
}

_METRICS = {
    "train_loss": pa.float64(),
    "test_loss": pa.float64(),
    "test_accuracy": pa.float64(),
    "best_accuracy": pa.float64(),
    "best_epoch": pa.int64(),
    "t_stddev": pa.float64(),
    "t_stddev_stderr": pa.float64(),
    "num_windows": pa.int64(),
    "entropy": pa.float64(),
    "entropy_stderr": pa.float64(),
    "confidence": pa.float64(),
    "confidence_stderr": pa.float64(),
    "covariance_trace": pa.float64(),
    "covariance_trace_stderr": pa.float64(),
    "predictor": pa.string(),
    "predictor_value": pa.float64(),
    "predictor_stderr": pa.float64(),
    "predictor_lower_is_better": pa.bool_(),
}
"""What a trial is made for; of a stddev trial also what else of the teacher may predict S. test loss, null in rows of
schema 3 and before (`trainer.predictors`). `predictor` names what a trial of that kind measures."""

METRICS = tuple(_METRICS)
"""The columns of a result that are computed by its trial alone: the same trial on the same machine has the same bits."""

RESULTS = _schema(
    **_IDENTITY,
    cell=pa.string(),
    teacher_fingerprint=pa.string(),
    student_fingerprint=pa.string(),
    student_cell=pa.string(),
    **_METRICS,
    trial=pa.string(),
    kdsweep_version=pa.string(),
    git_commit=pa.string(),
    git_dirty=pa.bool_(),
    python_version=pa.string(),
    torch_version=pa.string(),
    ray_version=pa.string(),
    cuda_version=pa.string(),
    device=pa.string(),
    num_threads=pa.int64(),
    host=pa.string(),
    command=pa.string(),
    environment=pa.string(),
    started_at=_TIME,
    finished_at=_TIME,
    wall_seconds=pa.float64(),
    device_seconds=pa.float64(),
    num_attempts=pa.int64(),
    group_size=pa.int64(),
    num_teacher_passes=pa.int64(),
    job_id=pa.string(),
    trainer_sha256=pa.string(),
    libraries=pa.string(),
    cudnn_version=pa.string(),
    precision=pa.string(),
    execution=pa.string(),
    notes=pa.string(),
    model_libraries=pa.string(),
)
"""One row per finished trial. Accuracies are shares in 0..1; `trial` is the whole trial as JSON, `environment`
the environment variables of an allow-list. `wall_seconds` were spent on the trial's group while it was a
member, `device_seconds` are the trial's share of that, epoch by epoch, times the GPUs (else CPUs) that the job
held. `job_id` is the job that finished it; `trainer_sha256` the digest of the code that computed it,
`libraries` the versions of other libraries as JSON; `precision` and `execution` how it was computed; `notes`
what a reader should know; `model_libraries` the versions of the libraries that its models are of, as JSON, null
where none is."""

IMPORTED = _schema(
    **_IDENTITY,
    cell=pa.string(),
    teacher_fingerprint=pa.string(),
    **_METRICS,
    trial=pa.string(),
    source=pa.string(),
    origin=pa.string(),
    run_id=pa.string(),
    log_sha256=pa.string(),
    started_at=_TIME,
    form=pa.string(),
)
"""One row per imported run. `origin` is the file it was read from, `log_sha256` that file's digest, `trial` its
settings as JSON; `form` is `table` for a line of a table, and null for a log of the authors' code. Of a table
`started_at` is when it was imported."""

EPOCHS = _schema(
    fingerprint=pa.string(),
    epoch=pa.int64(),
    train_loss=pa.float64(),
    test_loss=pa.float64(),
    test_accuracy=pa.float64(),
    learning_rate=pa.float64(),
    t_stddev=pa.float64(),
    num_windows=pa.int64(),
    seconds=pa.float64(),
    group_size=pa.int64(),
    written_at=_TIME,
)
"""One row per epoch of a finished trial. `group_size` trials shared the epoch; all rows of a curve were
`written_at` one time, so that of a trial that was computed twice one whole curve counts."""

CURVE = tuple(
    name
    for name in EPOCHS.names
    if name not in ("fingerprint", "seconds", "group_size", "written_at")
)
"""The same of a learning curve."""

FAILURES = _schema(
    **_IDENTITY,
    by_machine=pa.bool_(),
    cause=pa.string(),
    error=pa.string(),
    place=pa.string(),
    traceback=pa.string(),
    host=pa.string(),
    at=_TIME,
)
"""One row per failed attempt. `cause` is an `orchestrator.store.failures.Cause`, `place` the line that raised;
`by_machine`: not the program's fault, so any later run tries again."""


class NewerSchemaError(PlacedError):
    """A file of a newer kdsweep: nothing is wrong with it."""


def conform(table: pa.Table, schema: pa.Schema, where: str) -> pa.Table:
    """A table as this version declares it.

    Raises:
        NewerSchemaError: the table is of a newer version.
        PlacedError: it is damaged, or not one of kdsweep's.
    """
    written = (table.schema.metadata or {}).get(VERSION_KEY, b"")
    version = int(written) if written.isdigit() else 0
    if version > SCHEMA_VERSION:
        raise NewerSchemaError(
            where,
            f"written with schema {version}, newer than {SCHEMA_VERSION}, which this "
            "kdsweep reads; update kdsweep",
        )
    if version < 1 or "fingerprint" not in table.schema.names:
        raise PlacedError(where, "a Parquet file, but not one of kdsweep's tables")
    try:
        conformed = table
        if not table.schema.equals(schema, check_metadata=True):
            columns = [_column(table, field) for field in schema]
            conformed = pa.table(columns, schema=schema)
        conformed.validate(full=True)
    except pa.ArrowException as error:
        raise PlacedError(where, f"damaged: {error}") from error
    if conformed["fingerprint"].null_count:
        raise PlacedError(where, "damaged: a row without a fingerprint")
    return conformed


def _column(table: pa.Table, field: pa.Field) -> pa.ChunkedArray | pa.Array:
    if field.name not in table.schema.names:
        return pa.nulls(table.num_rows, field.type)
    return table[field.name].cast(field.type)
