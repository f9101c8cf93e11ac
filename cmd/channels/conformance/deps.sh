#!/bin/sh
# Installs what the conformance tests need and is not there yet: the npm
# packages of node/, a headless Chromium, and the SDKs for Python and Java. Running
# it again costs a few milliseconds.
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

if ! command -v javac >/dev/null; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "a JDK is missing: install Java 17 or newer" >&2
		exit 1
	fi
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends default-jdk-headless >/dev/null
fi

# The client and what it needs, from Maven Central.
if [ ! -e .deps/java/installed ]; then
	rm -rf .deps/java
	mkdir -p .deps/java
	for path in \
		com/pusher/pusher-java-client/2.4.4/pusher-java-client-2.4.4.jar \
		com/google/code/gson/gson/2.9.1/gson-2.9.1.jar \
		org/java-websocket/Java-WebSocket/1.5.3/Java-WebSocket-1.5.3.jar \
		org/slf4j/slf4j-api/1.7.36/slf4j-api-1.7.36.jar; do
		node -e '
			const [, url, file] = process.argv;
			fetch(url).then(async (answer) => {
				if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
				require("node:fs").writeFileSync(file, Buffer.from(await answer.arrayBuffer()));
			}).catch((error) => { console.error(String(error.cause ?? error)); process.exit(1); });
		' "https://repo1.maven.org/maven2/$path" ".deps/java/${path##*/}"
	done
	(cd .deps/java && sha256sum --quiet -c ../../java/SHA256SUMS)
	touch .deps/java/installed
fi

# The remote tests of pusher-http-node, unmodified from its npm package.
suite=.deps/pusher-http-node-5.3.4
if [ ! -e "$suite/installed" ]; then
	rm -rf "$suite"
	mkdir -p "$suite"
	(
		cd "$suite"
		npm pack --silent pusher@5.3.4 >/dev/null
		tar xzf ./*.tgz --strip-components=1
		rm ./*.tgz
		npm pkg delete devDependencies.eslint devDependencies.express devDependencies.nock devDependencies.prettier \
			devDependencies.sinon devDependencies.webpack devDependencies.webpack-cli
		npm install --ignore-scripts --no-audit --no-fund >/dev/null
	)
	touch "$suite/installed"
fi
