# kdsweep for a cluster: Python, Ray, torch and kdsweep in the versions that its tests passed with.
#
#   docker build -t registry.example/kdsweep:0.1.0 --build-arg COMMIT="$(git rev-parse HEAD)" .   # torch brings CUDA along
#   docker build -t registry.example/kdsweep:0.1.0-cpu --build-arg DEVICE=cpu .                   # without it: a tenth of the size
FROM python:3.11-slim-bookworm

ARG DEVICE=cuda
ARG TORCH_FOR_CPU=https://download.pytorch.org/whl/cpu
ARG COMMIT=

ENV PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1

# Older releases of KubeRay ask with wget whether a pod is well. Debian keeps one version of it only.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends wget \
    && rm -rf /var/lib/apt/lists/*

# First what is large and changes seldom: a change of code leaves this layer as it is.
WORKDIR /opt/kdsweep
COPY constraints.txt ./
RUN case "$DEVICE" in \
        cuda) set -- ;; \
        cpu) set -- --extra-index-url "$TORCH_FOR_CPU" ;; \
        *) echo "DEVICE: '$DEVICE': expected cuda or cpu" >&2; exit 2 ;; \
    esac \
    && pip install --constraint constraints.txt "$@" torch torchvision 'ray[default,tune]'

COPY pyproject.toml README.md LICENSE kdsweep.py ./
COPY sweeps sweeps
COPY trainer trainer
COPY analysis analysis
COPY orchestrator orchestrator
# Rows tell of which commit they are; it lies beside the packages.
RUN pip install --constraint constraints.txt . \
    && if [ -n "$COMMIT" ]; then \
        packages=$(python -P -c 'import trainer, pathlib; print(pathlib.Path(trainer.__file__).parents[1])') \
        && printf '["%s", false]' "$COMMIT" > "$packages/kdsweep-commit.json"; \
    fi

# By its number: Kubernetes wants to see that it is not root.
RUN useradd --uid 1000 --create-home kdsweep
USER 1000:1000
WORKDIR /home/kdsweep
CMD ["kdsweep", "--help"]
