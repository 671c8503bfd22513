# notifier with everything for PostgreSQL. compose.yaml runs it as `serve`, `work` and `migrate`.
FROM python:3.11-slim

RUN useradd --create-home notifier
WORKDIR /srv
COPY pyproject.toml requirements.lock README.md LICENSE ./build/
COPY notifier ./build/notifier
COPY templates ./build/templates
COPY config ./build/config
# The versions that were tested; pip takes no hashes beside a folder of our own.
RUN grep -oE '^[A-Za-z0-9_.-]+==[^ ;]+' build/requirements.lock > pins.txt \
    && pip install --no-cache-dir --constraint pins.txt './build[postgres]' \
    && rm -r build pins.txt

USER notifier
ENV PYTHONUNBUFFERED=1
ENTRYPOINT ["notifier"]
CMD ["--help"]
