# Two images of one package: the tap, and the source for Airbyte, which needs no pyarrow.
#
# docker build --build-arg VERSION=0.1.0 -t tap-visitor-sessions:0.1.0 .
# docker build --build-arg VERSION=0.1.0 --target airbyte \
#   -t tap-visitor-sessions/source-visitor-sessions:0.1.0 .
# docker run --rm -v "$PWD:/config:ro" tap-visitor-sessions:0.1.0 --config /config/config.json
#
# The base's patch releases come with a rebuild (docker build --pull). Another base, with `python`
# of 3.11 or later, goes in as --build-arg BASE=...
ARG BASE=python:3.13-slim-trixie
# The git history, which tells the version, is not copied.
ARG VERSION=0.1.0.dev0

# What pyproject.toml asks for. A change of the source does not install it anew.
FROM $BASE AS dependencies
WORKDIR /src
COPY pyproject.toml ./
RUN python -m venv /opt/build \
    && python -m venv --without-pip /opt/tap \
    && python -c "import tomllib; \
from pathlib import Path; \
made = tomllib.loads(Path('pyproject.toml').read_text(encoding='utf-8')); \
project, extras = made['project'], made['project']['optional-dependencies']; \
Path('build.txt').write_text('\n'.join(made['build-system']['requires'])); \
Path('tap.txt').write_text('\n'.join(project['dependencies'])); \
Path('parquet.txt').write_text('\n'.join(extras['parquet']))" \
    && /opt/build/bin/pip install --no-cache-dir -r build.txt \
    && /opt/build/bin/pip --python /opt/tap/bin/python install --no-cache-dir -r tap.txt

FROM dependencies AS with-parquet
RUN /opt/build/bin/pip --python /opt/tap/bin/python install --no-cache-dir \
    -r tap.txt -r parquet.txt

# The package alone, in a folder that is laid over /opt/tap.
FROM dependencies AS package
COPY README.md LICENSE ./
COPY schemas schemas
COPY tap_visitor_sessions tap_visitor_sessions
ARG VERSION
ENV SETUPTOOLS_SCM_PRETEND_VERSION=$VERSION
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation -w dist . \
    && /opt/build/bin/pip --python /opt/tap/bin/python install --no-cache-dir --no-deps \
    --prefix /opt/package dist/*.whl

FROM $BASE AS common
# Nothing but stdout and stderr is written, unless batch_config names a folder.
USER 10001:10001
WORKDIR /tmp
ENV PATH=/opt/tap/bin:$PATH
LABEL org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.source="https://github.com/tap-visitor-sessions/tap-visitor-sessions"

FROM common AS airbyte
COPY --from=dependencies /opt/tap /opt/tap
COPY --from=package /opt/package /opt/tap
ENV AIRBYTE_ENTRYPOINT=source-visitor-sessions
ENTRYPOINT ["source-visitor-sessions"]
CMD ["spec"]
ARG VERSION
ARG REVISION
LABEL io.airbyte.name="tap-visitor-sessions/source-visitor-sessions" \
    io.airbyte.version="$VERSION" \
    org.opencontainers.image.title="source-visitor-sessions" \
    org.opencontainers.image.description="Airbyte source for the visitor sessions of CallGear, CoMagic and UIS." \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$REVISION"

# The last one, so the one that is built unless --target names another.
FROM common AS tap
COPY --from=with-parquet /opt/tap /opt/tap
COPY --from=package /opt/package /opt/tap
ENTRYPOINT ["tap-visitor-sessions"]
CMD ["--help"]
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="tap-visitor-sessions" \
    org.opencontainers.image.description="Singer tap for the visitor sessions of CallGear, CoMagic and UIS." \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$REVISION"
