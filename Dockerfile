# docker build --build-arg VERSION=0.1.0 -t tap-visitor-sessions .
# docker run --rm -v "$PWD:/config:ro" tap-visitor-sessions --config /config/config.json
#
# The base's patch releases come with a rebuild (docker build --pull).
FROM python:3.13-slim-trixie AS build
# The git history, which tells the version, is not copied.
ARG VERSION=0.1.0.dev0
ENV SETUPTOOLS_SCM_PRETEND_VERSION=$VERSION
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY tap_visitor_sessions tap_visitor_sessions
RUN python -m venv /opt/tap \
    && /opt/tap/bin/pip install --no-cache-dir ".[parquet]"

FROM python:3.13-slim-trixie
COPY --from=build /opt/tap /opt/tap
# Nothing but stdout and stderr is written, unless batch_config names a folder.
USER 10001:10001
WORKDIR /tmp
ENV PATH=/opt/tap/bin:$PATH
ENTRYPOINT ["tap-visitor-sessions"]
CMD ["--help"]
