# syntax=docker/dockerfile:1
# The image: one static binary and nothing else. It runs as nobody in particular and writes nothing.
#
#     docker build -t weighbridge .
#
# `make image-check` builds the same binary without an engine and runs it in an empty root.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# Static, so that nothing else is needed. The target is named, or build scripts and macros would be linked statically
# too, which they cannot be.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    target=$(rustc -vV | sed -n 's/^host: //p') && \
    RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --release --locked --bin weighbridge --target "$target" && \
    cp "target/$target/release/weighbridge" /weighbridge

FROM scratch
COPY --from=build /weighbridge /weighbridge
USER 65532:65532
EXPOSE 9443 8080
ENTRYPOINT ["/weighbridge"]
