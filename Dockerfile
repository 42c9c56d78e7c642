# The binary alone: docker build -t runner . && docker run --rm -v "$PWD:/project" runner --suite=base --setup=llama-cpp
# With a shell and Git, as CI services want it: docker build --target ci -t runner-ci .
FROM rust:1.95-alpine3.22 AS build
# musl's headers and start files, for the bundled SQLite.
# hadolint ignore=DL3018
RUN apk add --no-cache musl-dev
WORKDIR /src
COPY . .
# /tmp is all that the runner writes outside of the project.
RUN cargo build --locked --profile dist --bin runner \
    && mkdir -p /root-of-image/tmp /root-of-image/project \
    && chmod 1777 /root-of-image/tmp

FROM alpine:3.22 AS ci
# hadolint ignore=DL3018
RUN apk add --no-cache ca-certificates git
COPY --from=build /src/target/dist/runner /usr/local/bin/runner
USER 65532:65532

FROM scratch
COPY --from=build /root-of-image/ /
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/dist/runner /runner
# The project may be mounted read-only: what is made from it goes here.
ENV XDG_CACHE_HOME=/tmp/cache XDG_STATE_HOME=/tmp/state
USER 65532:65532
WORKDIR /project
ENTRYPOINT ["/runner"]
