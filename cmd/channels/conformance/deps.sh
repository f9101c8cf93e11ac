#!/bin/sh
# Installs what the conformance tests need and is not there yet: the npm
# packages of node/, a headless Chromium, and the Python SDK. Running it again
# costs a few milliseconds.
set -eu
cd "$(dirname "$0")"

command -v node >/dev/null || { echo "node is missing: install Node.js 20.19 or newer" >&2; exit 1; }

if [ ! -e node/node_modules/.package-lock.json ] ||
	[ node/package-lock.json -nt node/node_modules/.package-lock.json ]; then
	(cd node && npm ci --no-fund --no-audit)
	touch node/node_modules/.package-lock.json
fi

if [ ! -x "${CHROMIUM:-/usr/bin/chromium}" ]; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "chromium is missing: install it, or set CHROMIUM to its path" >&2
		exit 1
	fi
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium
fi

command -v python3 >/dev/null || { echo "python3 is missing: install Python 3" >&2; exit 1; }

if [ ! -e .deps/python/installed ]; then
	rm -rf .deps/python
	python3 -m venv .deps/python
	.deps/python/bin/pip install --quiet --disable-pip-version-check pusher==3.3.3
	touch .deps/python/installed
fi
