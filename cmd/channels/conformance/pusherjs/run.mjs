// Runs the integration suite of pusher-js, unmodified from its npm package, against
// the built server:
//   node run.mjs SERVER SUITE [web] [node]
// SERVER is the binary, SUITE the unpacked package with its dependencies. The
// suite's host names lead to this machine: in Chromium by a rule for its resolver,
// in Node by hosts.cjs.
import { execFile, execFileSync, fork, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import tls from 'node:tls';
import { promisify } from 'node:util';

const [binary, suite, ...wanted] = process.argv.slice(2).map((arg, i) => (i < 2 ? resolve(arg) : arg));
const runs = wanted.length ? wanted : ['web', 'node'];
const here = import.meta.dirname;
const dir = mkdtempSync(join(tmpdir(), 'pusher-js-'));

// Apps are known to the suite by their keys.
const apps = [
  { id: '1', cluster: 'mt1', key: 'c49a449b916bb4246729', secret: 'secret-of-mt1' },
  { id: '2', cluster: 'eu', key: 'cb7d5e50f5669e5c9ae6', secret: 'secret-of-eu' },
];

// Specs that cannot pass for a reason outside of the server, with the reason.
const excused = new Map([]);

const children = [];
const start = (command, args, options = {}) => {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], ...options });
  children.push(child);
  return child;
};

// startServer gives the port of the server.
function startServer() {
  const config = join(dir, 'channels.yaml');
  writeFileSync(config, JSON.stringify({ apps: apps.map(({ id, key, secret }) => ({ id, key, secret })) }));
  const child = start(binary, ['serve', '--listen=127.0.0.1:0', '--ops-listen=off', `--config=${config}`], {
    env: { PATH: process.env.PATH, GORACE: 'halt_on_error=1' },
  });
  return new Promise((resolve, reject) => {
    let log = '';
    child.stderr.on('data', (text) => {
      log += text;
      const found = /\blisten="?127\.0\.0\.1:(\d+)/.exec(log);
      if (found) resolve(Number(found[1]));
    });
    child.once('exit', (code) => {
      console.log(`the server ended with ${code}:\n${log.slice(-4000)}`);
      reject(new Error('no server'));
      process.exitCode = 1;
    });
  });
}

const listening = (server) => new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));

// startTLS gives a port with TLS before another one.
function startTLS(port) {
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', '/CN=pusher.com', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  const server = tls.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (outer) => {
    const inner = net.connect(port, '127.0.0.1');
    outer.pipe(inner).pipe(outer);
    for (const [one, other] of [[outer, inner], [inner, outer]]) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
  server.on('tlsClientError', () => {});
  return listening(server);
}

async function freePort() {
  const server = net.createServer();
  const port = await listening(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function listens(port) {
  for (let n = 0; n < 300; n++, await new Promise((resolve) => setTimeout(resolve, 100))) {
    const open = await new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
      socket.on('connect', () => socket.destroy());
    });
    if (open) return;
  }
  throw new Error(`nothing listens on port ${port}`);
}

const results = { passed: 0, excused: 0, failed: [] };

// run runs a program that reports specs, and gives how many there were.
function run(name, program, args, env) {
  let specs = 0;
  const child = fork(program, args, { cwd: suite, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  children.push(child);
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (log = (log + text).slice(-20_000)));
  child.on('message', ({ name: spec, success, skipped, log, broken }) => {
    if (broken) return void results.failed.push(`${name}: ${broken}`);
    if (skipped) return;
    specs++;
    if (success) results.passed++;
    else if (excused.has(spec)) results.excused++, console.log(`excused: ${spec}: ${excused.get(spec)}`);
    else results.failed.push(`${name}: ${spec}\n    ${String(log[0]).split('\n')[0]}`);
  });
  return new Promise((resolve) =>
    child.once('exit', () => {
      if (specs === 0) results.failed.push(`${name}: no spec ran:\n${log}`);
      console.log(`${name}: ${specs} specs`);
      resolve();
    }),
  );
}

try {
  const plain = await startServer();
  const secure = await startTLS(plain);
  const auth = { mt1: await freePort(), eu: await freePort() };
  const hosts = {};
  for (const { cluster } of apps) {
    for (const name of ['ws', 'sockjs', 'api']) {
      hosts[`${name}-${cluster}.pusher.com:80`] = plain;
      hosts[`${name}-${cluster}.pusher.com:443`] = secure;
    }
  }
  Object.assign(hosts, { 'localhost:3000': auth.mt1, 'localhost:3001': auth.eu });
  const env = {
    HOSTS: JSON.stringify({ ...hosts, '*:3000': auth.mt1, '*:3001': auth.eu }),
    RULES: Object.entries(hosts).map(([from, to]) => `MAP ${from} 127.0.0.1:${to}`).join(','),
    SUITE: suite,
    CHROME_BIN: process.env.CHROMIUM || '/usr/bin/chromium',
    NODE_TLS_REJECT_UNAUTHORIZED: '0', // the certificate is the rig's own
    NODE_NO_WARNINGS: '1',
  };
  for (const { id, cluster, key, secret } of apps) {
    const prefix = `INTEGRATION_TESTS_APP_${cluster.toUpperCase()}_`;
    Object.assign(env, { [`${prefix}APP_ID`]: id, [`${prefix}KEY`]: key, [`${prefix}SECRET`]: secret });
  }
  const preload = ['--require', join(here, 'hosts.cjs')];
  start(process.execPath, [...preload, 'index.js'], { cwd: join(suite, 'integration_tests_server'), env: { ...process.env, ...env }, stdio: 'ignore' });
  await Promise.all(Object.values(auth).map(listens));

  const parts = (...transports) => transports.flatMap((t) => [`${t},false`, `${t},true`]).concat('others');
  const web = () =>
    run('web', join(suite, 'node_modules/karma/bin/karma'), ['start', join(here, 'karma.cjs')],
      { ...env, PARTS: JSON.stringify(parts('ws', 'xhr_streaming', 'xhr_polling')) });
  const node = async () => {
    await promisify(execFile)(process.execPath, ['node_modules/webpack/bin/webpack.js', '--config=spec/config/jasmine/webpack.integration.js'], { cwd: suite });
    const args = ['--config=spec/config/jasmine/integration.json', `--helper=${join(here, 'parts.js')}`, `--helper=${join(here, 'jasmine-results.cjs')}`];
    await Promise.all(parts('ws').map((part) =>
      run(`node ${part}`, join(suite, 'node_modules/jasmine/bin/jasmine.js'), args,
        { ...env, PART: part, NODE_OPTIONS: `--require ${join(here, 'hosts.cjs')}` })));
  };
  await Promise.all([runs.includes('web') && web(), runs.includes('node') && node()]);
} finally {
  for (const child of children) child.removeAllListeners('exit').kill();
  rmSync(dir, { recursive: true, force: true });
}
for (const failure of results.failed) console.log(`FAILED ${failure}`);
console.log(`${results.passed} passed, ${results.excused} excused, ${results.failed.length} failed`);
process.exit(results.failed.length || !results.passed || process.exitCode ? 1 : 0);
