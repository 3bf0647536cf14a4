# All of Holdfast in one image, as `make up` runs it. State is in the volume.
FROM python:3.11-slim-bookworm

RUN apt-get update \
 && apt-get install -y --no-install-recommends make \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --create-home --home-dir /var/lib/holdfast holdfast

WORKDIR /srv/holdfast

# Packages first: they change less often than the code.
COPY Makefile ./
COPY requirements/ requirements/
RUN make run-packages

COPY . .
RUN make assets && rm -rf node_modules

USER holdfast
ENV HOLDFAST_HOME=/var/lib/holdfast
VOLUME /var/lib/holdfast
STOPSIGNAL SIGTERM
CMD [".venv/bin/python", "manage.py", "up"]
