# Tutelage on a CPU, with the current folder as the place of work and a volume for what is fetched and converted:
#   docker build --tag tutelage .
#   docker run --rm --volume tutelage-cache:/cache --volume "$PWD:/work" tutelage run --data my.json
FROM python:3.12-slim

# An index with CPU builds of torch; without one pip may take a build with CUDA, of several GB.
ARG TORCH_INDEX=""

WORKDIR /opt/tutelage
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} --constraint constraints.txt .

RUN useradd --create-home --uid 1000 tutelage && mkdir -p /cache /work && chown tutelage /cache /work
USER tutelage
ENV TUTELAGE_CACHE=/cache
VOLUME /cache
WORKDIR /work
ENTRYPOINT ["tutelage"]
CMD ["--help"]
