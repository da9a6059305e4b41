# Images from one file: `service` (API, worker, migrations), `simulator` (Stripe's stand-in), `operator`, and `backup` (pg_dump, pg_restore and a scratch
# server of PostgreSQL 18, the newest that is supported). All run as 10001 on a read-only root.
ARG BASE_IMAGE=python:3.13-slim
ARG POSTGRES_IMAGE=postgres:18

FROM ${BASE_IMAGE} AS build
COPY scripts/uv.txt /tmp/uv.txt
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca-certificates.crt,target=/etc/ssl/certs/ca-certificates.crt \
    pip install --no-cache-dir --require-hashes --requirement /tmp/uv.txt
WORKDIR /src
ENV UV_LINK_MODE=copy UV_SYSTEM_CERTS=1 UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1 UV_PROJECT_ENVIRONMENT=/app
COPY pyproject.toml uv.lock ./
COPY service/pyproject.toml service/
COPY simulator/pyproject.toml simulator/
COPY operator/pyproject.toml operator/

# dependencies first: a change of the source alone installs nothing anew
FROM build AS build-service
# `mysql`, the driver of MariaDB, is in every image; `tracing` for OpenTelemetry
ARG EXTRAS=
# a third of the driver's 36 MB is the C source that it was made of
RUN --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml \
    --mount=type=secret,id=ca-certificates.crt,target=/etc/ssl/certs/ca-certificates.crt \
    uv sync --locked --no-dev --package payment-service --extra mysql ${EXTRAS:+--extra $EXTRAS} --no-install-workspace \
    && find /app/lib -path '*/asyncmy/*' -name '*.c' -delete
COPY service/ service/
RUN --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml \
    --mount=type=secret,id=ca-certificates.crt,target=/etc/ssl/certs/ca-certificates.crt \
    uv sync --locked --no-dev --no-editable --package payment-service --extra mysql ${EXTRAS:+--extra $EXTRAS}

FROM build-service AS build-simulator
COPY simulator/ simulator/
RUN --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml \
    --mount=type=secret,id=ca-certificates.crt,target=/etc/ssl/certs/ca-certificates.crt \
    uv sync --locked --no-dev --no-editable --package stripe-simulator

FROM build AS build-operator
RUN --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml \
    --mount=type=secret,id=ca-certificates.crt,target=/etc/ssl/certs/ca-certificates.crt \
    uv sync --locked --no-dev --package payment-operator --no-install-workspace \
    && find /app/lib -path '*/asyncmy/*' -name '*.c' -delete
COPY operator/ operator/
RUN --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml \
    --mount=type=secret,id=ca-certificates.crt,target=/etc/ssl/certs/ca-certificates.crt \
    uv sync --locked --no-dev --no-editable --package payment-operator

FROM ${BASE_IMAGE} AS service
COPY --from=build-service /app /app
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8000 9090
ENTRYPOINT ["payments"]
CMD ["serve"]

# the service with the Stripe stand-in: for development and tests, never for production
FROM ${BASE_IMAGE} AS simulator
COPY --from=build-simulator /app /app
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 12111 12112
ENTRYPOINT ["payments", "simulator"]
CMD ["--host", "::"]

FROM ${POSTGRES_IMAGE} AS backup
# initdb looks its user up
RUN getent passwd 10001 >/dev/null || echo 'payments:x:10001:10001::/tmp:/bin/false' >> /etc/passwd
USER 10001:10001
ENTRYPOINT []
CMD ["pg_dump", "--help"]

FROM ${BASE_IMAGE} AS operator
COPY --from=build-operator /app /app
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 9090
ENTRYPOINT ["payment-operator"]
