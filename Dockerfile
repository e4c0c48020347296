# syntax=docker/dockerfile:1
# Three images from one file:
#   docker build --target api .          the API: no ML library in it
#   docker build --target worker .       evaluates and inspects, on the CPU
#   docker build --target worker-gpu .   the same on CUDA 13 (driver 580 or newer)
# Workers hold torch, to convert .pt2 and TorchScript; with --build-arg CONVERT= they don't, and are 0.8 GB smaller.
# With --build-arg OTEL=yes they can send traces: docs/monitoring.md.
# What is installed is what lock/ pins, hashes checked, but for torch, whose CPU build has an index of its own.
# scripts/rehearse-image goes through these steps without Docker.

FROM python:3.12-slim-bookworm AS base
RUN groupadd --gid 10001 lesion \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin lesion \
    && install --directory --owner 10001 --group 10001 --mode 0700 /data /scratch
ENV PATH=/opt/lesion/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
LABEL org.opencontainers.image.title="Lesion" \
      org.opencontainers.image.description="Scores how robust a trained neural network is to losing its own units"

# The project's own wheel.
FROM python:3.12-slim-bookworm AS wheel
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY lock/setup.txt lock/
RUN pip install --require-hashes --no-deps -r lock/setup.txt
COPY pyproject.toml README.md ./
COPY service service
COPY worker worker
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

# An environment for each image, without pip in it.
FROM python:3.12-slim-bookworm AS environment
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv --without-pip /opt/lesion
COPY lock lock

FROM environment AS api-environment
RUN pip --python /opt/lesion/bin/python install --require-hashes --no-deps -r lock/api.txt
ARG OTEL=
RUN if [ -n "$OTEL" ]; then pip --python /opt/lesion/bin/python install --require-hashes --no-deps -r lock/otel.txt; fi
RUN --mount=from=wheel,source=/wheels,target=/wheels pip --python /opt/lesion/bin/python install --no-deps /wheels/*.whl

FROM environment AS worker-environment
RUN pip --python /opt/lesion/bin/python install --require-hashes --no-deps -r lock/worker.txt
ARG OTEL=
RUN if [ -n "$OTEL" ]; then pip --python /opt/lesion/bin/python install --require-hashes --no-deps -r lock/otel.txt; fi
ARG CONVERT=yes
RUN if [ -n "$CONVERT" ]; then \
        pip --python /opt/lesion/bin/python install --require-hashes --no-deps -r lock/convert.txt \
        && pip --python /opt/lesion/bin/python install --no-deps \
            --extra-index-url https://download.pytorch.org/whl/cpu -r lock/torch.txt; \
    fi
RUN --mount=from=wheel,source=/wheels,target=/wheels pip --python /opt/lesion/bin/python install --no-deps /wheels/*.whl

FROM environment AS worker-gpu-environment
RUN pip --python /opt/lesion/bin/python install --require-hashes --no-deps -r lock/worker-gpu.txt
ARG OTEL=
RUN if [ -n "$OTEL" ]; then pip --python /opt/lesion/bin/python install --require-hashes --no-deps -r lock/otel.txt; fi
ARG CONVERT=yes
RUN if [ -n "$CONVERT" ]; then \
        pip --python /opt/lesion/bin/python install --require-hashes --no-deps -r lock/convert.txt \
        && pip --python /opt/lesion/bin/python install --no-deps \
            --extra-index-url https://download.pytorch.org/whl/cpu -r lock/torch.txt; \
    fi
RUN --mount=from=wheel,source=/wheels,target=/wheels pip --python /opt/lesion/bin/python install --no-deps /wheels/*.whl

FROM base AS api
COPY --from=api-environment /opt/lesion /opt/lesion
ENV LESION_HOST=0.0.0.0 LESION_PORT=8000 LESION_DATA=/data
USER 10001:10001
WORKDIR /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
CMD ["lesion", "api"]

FROM base AS worker
COPY --from=worker-environment /opt/lesion /opt/lesion
ENV LESION_DATA=/scratch
USER 10001:10001
WORKDIR /scratch
STOPSIGNAL SIGTERM
# No probe: a worker that dies ends its container, and one that hangs loses its lease, so another takes its work.
HEALTHCHECK NONE
CMD ["lesion", "worker"]

FROM base AS worker-gpu
COPY --from=worker-gpu-environment /opt/lesion /opt/lesion
# CUDA comes as Python packages; the loader has to be told where they lie, whatever environment a process is given.
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN find /opt/lesion -path '*/nvidia/*' -name 'lib*.so.*' -printf '%h\n' | sort -u >/etc/ld.so.conf.d/nvidia.conf \
    && ldconfig \
    && ldconfig -p | grep libcublasLt.so.13
ENV LESION_DATA=/scratch \
    LESION_DEVICE=cuda \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
WORKDIR /scratch
STOPSIGNAL SIGTERM
HEALTHCHECK NONE
CMD ["lesion", "worker"]
