# syntax=docker/dockerfile:1

# One stage builds the wheel, so that the image that runs holds neither sources nor build tools.
FROM python:3.13-slim AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist .

FROM python:3.13-slim
LABEL org.opencontainers.image.title="apixo-emulator" \
      org.opencontainers.image.description="Offline emulator of APIXO's Image Upscaler API" \
      org.opencontainers.image.source="https://github.com/apixo-emulator/apixo-emulator" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /dist/ /dist/
COPY requirements/server.txt /dist/
# The versions that the tests ran with, each checked by its hash.
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement /dist/server.txt \
    && pip install --no-cache-dir --no-deps /dist/*.whl \
    && rm -r /dist \
    && useradd --create-home --uid 10001 emulator \
    && install --directory --owner emulator /data
# By number, so that an orchestrator can see that it is not root.
USER 10001
# A mounted volume keeps tasks and pictures between containers.
VOLUME /data
# Inside the container every address: the port map decides who reaches it from outside.
ENV APIXO_EMULATOR_HOST=0.0.0.0 \
    APIXO_EMULATOR_DATA=/data
EXPOSE 8787
# Health is answered under any host name; the slim image has no curl.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8787/_emulator/health', timeout=2)"]
# Exec form: SIGTERM reaches the emulator itself, which then ends with 0.
ENTRYPOINT ["apixo-emulator"]
CMD ["serve"]
