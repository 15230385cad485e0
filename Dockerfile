# syntax=docker/dockerfile:1

FROM python:3.13-slim-trixie AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# The server's dependencies first: they change less often than it does. Everything comes as a wheel
# with a known hash, so that nothing is compiled.
COPY requirements.lock ./
RUN python -m venv --without-pip /opt/artifact-proxy \
    && python -m pip --python /opt/artifact-proxy install --only-binary :all: --require-hashes -r requirements.lock

COPY requirements-build.lock ./
RUN python -m venv /opt/build \
    && /opt/build/bin/python -m pip install --only-binary :all: --require-hashes -r requirements-build.lock

COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY artifact_proxy artifact_proxy
RUN /opt/build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && python -m pip --python /opt/artifact-proxy install --no-deps --no-index dist/*.whl \
    && python -m compileall -q /opt/artifact-proxy


FROM python:3.13-slim-trixie

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="artifact-proxy" \
    org.opencontainers.image.description="Streams artifacts to and from one artifact store, for MLflow clients and all others" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.base.name="docker.io/library/python:3.13-slim-trixie"

COPY --from=build /opt/artifact-proxy /opt/artifact-proxy

# For a local root, and for an access file; what stands here is copied to a new volume, with its owner.
RUN install --directory --owner 10001 --group 10001 /srv/artifacts /etc/artifact-proxy

ENV PATH=/opt/artifact-proxy/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ARTIFACT_PROXY_HOST=0.0.0.0 \
    ARTIFACT_PROXY_PORT=5500 \
    ARTIFACT_PROXY_DEFAULT_ARTIFACT_ROOT=/srv/artifacts

# In numbers, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 5500
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --start-interval=1s CMD ["python", "-m", "app.health"]

# The server is the container's first process, so that it gets the signals.
ENTRYPOINT ["artifact-proxy"]
