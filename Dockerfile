# A broker in a container, for whoever names apache/kafka today: same variables, same paths.
#
#   docker build -t pykbroker .
#   docker run -p 9092:9092 pykbroker
#
# BASE_IMAGE is any Debian or Ubuntu with Python 3.11 or newer and its venv module. PIP_INDEX_URL
# names a mirror of the Python package index, where that is needed.
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
ARG PIP_INDEX_URL
# gcc compiles the walk over produced records; tini is process 1, for it hands on signals and
# reaps children from the first moment. Images of Python have its headers, Debian needs a package.
RUN headers=$(python3 -c "import sysconfig; print(sysconfig.get_path('include'))") \
    && apt-get update \
    && apt-get install --yes --no-install-recommends \
        gcc libc6-dev tini $(test -e "$headers/Python.h" || echo python3-dev) \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY pykbroker pykbroker
# pip stays in this stage.
RUN python3 -m venv /tools \
    && python3 -m venv --without-pip /opt/pykbroker \
    && /tools/bin/pip --python /opt/pykbroker/bin/python install --no-cache-dir .

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="pykbroker" \
      org.opencontainers.image.description="A broker that speaks Apache Kafka's wire protocol" \
      org.opencontainers.image.licenses="Apache-2.0"
# The user of Apache Kafka's image, so that volumes which that one wrote can be read.
RUN groupadd --gid 1000 appuser \
    && useradd --uid 1000 --gid appuser --create-home appuser \
    && mkdir -p /var/lib/kafka/data /mnt/shared/config \
    && chown -R appuser:root /var/lib/kafka \
    && chmod -R ug+w /var/lib/kafka
COPY --from=build /usr/bin/tini /usr/bin/tini
COPY --from=build /opt/pykbroker /opt/pykbroker
COPY docker /
ENV PATH=/opt/pykbroker/bin:$PATH
# Base images leave out the compiled modules of Python itself; a start would compile them anew.
RUN pykbroker health --help > /dev/null \
    && python -c "from pykbroker import handlers; from pykbroker.commands import serve; \
[handlers.load(api) for api in handlers.APIS.values()]"
USER appuser
WORKDIR /home/appuser
EXPOSE 9092
VOLUME ["/var/lib/kafka/data"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=10s --retries=3 \
    CMD ["pykbroker", "health", "--container"]
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["/etc/kafka/docker/run"]
