# syntax=docker/dockerfile:1

# Two images: florin (worker and starter, the default) and simulator, which is not for production.

# Exactly the toolchain version of go.mod, so that the build does not download another one.
FROM --platform=$BUILDPLATFORM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH
# No cgo (SQLite is pure Go): the binaries need no libc and cross-compile to the target platform.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags="-s -w" -o /out/ ./cmd/starter ./cmd/simulator
# The starter is the worker, too, under that name: most of both is the same code.
RUN mkdir /out/data /out/florin && mv /out/starter /out/florin && ln -s starter /out/florin/worker

# Has root certificates, time zones and a non-root user (65532), but no shell and no package manager.
FROM gcr.io/distroless/static-debian13:nonroot AS base
# A new volume that is mounted here gets the owner of this directory.
COPY --from=build --chown=65532:65532 /out/data /var/lib/florin
WORKDIR /var/lib/florin

FROM base AS simulator
COPY --from=build /out/simulator /usr/local/bin/
EXPOSE 8712
CMD ["simulator"]

FROM base AS florin
COPY --from=build /out/florin/ /usr/local/bin/
EXPOSE 8711
CMD ["worker", "--config", "/etc/florin/worker.yaml"]
