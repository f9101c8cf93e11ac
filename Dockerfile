# Three images from one file: channels (the server), chat and loadtest. Each is
# one static binary, run by a user without rights.
#
#   docker build --target channels --build-arg VERSION=$(git describe --tags --always) -t channels .
#   docker build --target chat --build-arg VERSION=$(git describe --tags --always) -t chat .

FROM node:22-bookworm-slim AS pages
WORKDIR /src/chatapp/web
COPY chatapp/web/package.json chatapp/web/package-lock.json ./
RUN npm ci --no-fund --no-audit
COPY chatapp/web ./
RUN npm run build

FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
COPY --from=pages /src/chatapp/web/dist chatapp/web/dist
ARG VERSION=""
RUN mkdir -p /out/data \
 && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.release=${VERSION}" \
    -o /out/ ./cmd/channels ./cmd/chat ./loadtest

# What every image has: the certificates that authorities are known by.
FROM scratch AS base
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
USER 65532:65532

FROM base AS loadtest
COPY --from=build /out/loadtest /loadtest
ENTRYPOINT ["/loadtest"]

FROM base AS chat
COPY --from=build /out/chat /chat
COPY --from=build --chown=65532:65532 /out/data /data
ENV CHAT_LISTEN=0.0.0.0:8080 \
    CHAT_DATA=/data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["/chat", "health"]
ENTRYPOINT ["/chat"]

FROM base AS channels
COPY --from=build /out/channels /channels
ENV CHANNELS_LISTEN=0.0.0.0:6001 \
    CHANNELS_OPS_LISTEN=0.0.0.0:9601
EXPOSE 6001 9601
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["/channels", "health"]
ENTRYPOINT ["/channels"]
