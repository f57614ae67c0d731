# syntax=docker/dockerfile:1
# The service in a small image: one binary, the system's root certificates, no shell, not root.

FROM rust:1-slim-bookworm AS build
WORKDIR /src
COPY . .
# Crates and compiled dependencies outlive the build in the builder's cache.
# Which commit it is, for `quotagraph --version`: docker build --build-arg QUOTAGRAPH_COMMIT=$(git rev-parse --short=12 HEAD)
ARG QUOTAGRAPH_COMMIT
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked && \
    strip --strip-debug -o /quotagraph target/release/quotagraph && \
    mkdir /data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /quotagraph /usr/local/bin/quotagraph
# The working directory, where an embedded database goes unless the config says otherwise.
COPY --from=build --chown=nonroot:nonroot /data /data
WORKDIR /data
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/quotagraph"]
# There is no HEALTHCHECK, since there is no shell to run one: let whatever runs this ask GET /healthz (it lives) and /readyz (it works).
CMD ["serve", "--config", "/etc/quotagraph/quotagraph.toml"]
