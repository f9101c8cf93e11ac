// make run, as somebody does who has just cloned the project.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { freePort } from './lib/world.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

function makeRun(env) {
  const child = spawn('scripts/run', [], { cwd: root, env: { ...process.env, ...env } });
  const run = { child, output: '', exited: once(child, 'exit') };
  const waiting = new Set();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      run.output += text;
      waiting.forEach((look) => look());
    });
  }
  run.prints = (form) => new Promise((resolve, reject) => {
    const look = () => form.test(run.output) && (waiting.delete(look), resolve());
    waiting.add(look);
    look();
    run.exited.then(() => reject(new Error(`it ended: ${run.output}`)));
    setTimeout(() => reject(new Error(`it did not print ${form}: ${run.output}`)), 120_000).unref();
  });
  return run;
}

const answers = (port) => new Promise((resolve) => {
  const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
  socket.on('error', () => resolve(false));
});

async function addresses() {
  const [server, ops, chat] = [await freePort(), await freePort(), await freePort()];
  return {
    server, chat,
    env: {
      CHANNELS_LISTEN: `127.0.0.1:${server}`, CHANNELS_OPS_LISTEN: `127.0.0.1:${ops}`, CHAT_LISTEN: `127.0.0.1:${chat}`,
      CHANNELS_SHUTDOWN_GRACE: '1s',
    },
  };
}

// signed asks the REST API for its channels.
async function signed(host, port, id, key, secret) {
  const query = `auth_key=${key}&auth_timestamp=${Math.floor(Date.now() / 1000)}&auth_version=1.0`;
  const signature = createHmac('sha256', secret).update(`GET\n/apps/${id}/channels\n${query}`).digest('hex');
  return (await fetch(`http://${host}:${port}/apps/${id}/channels?${query}&auth_signature=${signature}`)).status;
}

test('it starts everything, says where, and stops it with Ctrl-C', async () => {
  const { server, chat, env } = await addresses();
  const data = await mkdtemp(path.join(os.tmpdir(), 'chat-run-'));
  const run = makeRun({ ...env, CHAT_DATA: data });
  await run.prints(new RegExp(`You: +http://127\\.0\\.0\\.1:${chat}\n +A second person: +http://localhost:${chat}`));
  const page = await (await fetch(`http://127.0.0.1:${chat}/`)).text();
  assert.match(page, /<script type="module"/);
  const config = await (await fetch(`http://127.0.0.1:${chat}/api/config`)).json();
  assert.equal(config.port, server);
  await run.prints(/Ctrl-C stops everything/);
  const [, developers] = run.output.match(/For developers: +(http:\S+) has a snippet/);
  assert.match(await (await fetch(developers)).text(), /new Pusher\('?"?app-key/);
  run.child.kill('SIGINT');
  const [code] = await run.exited;
  assert.equal(code, 0, run.output);
  assert.deepEqual([await answers(server), await answers(chat)], [false, false]);
  await rm(data, { recursive: true });
});

test('with LAN=1 it makes secrets and listens on the network', async () => {
  const { server, chat, env } = await addresses();
  const data = await mkdtemp(path.join(os.tmpdir(), 'chat-run-'));
  const run = makeRun({
    ...env, CHAT_DATA: data, LAN: '1', CHANNELS_LISTEN: `0.0.0.0:${server}`, CHAT_LISTEN: `0.0.0.0:${chat}`,
  });
  await run.prints(/Ctrl-C stops everything/);
  const [, address] = run.output.match(/On the network: +http:\/\/([0-9.]+):/);
  assert.ok(!address.startsWith('127.'), address);
  const config = await (await fetch(`http://${address}:${chat}/api/config`)).json();
  assert.match(config.key, /^[0-9a-f]{32}$/);

  const [, host, port] = run.output.match(/For developers: +point an SDK at host (\S+), port (\d+), without TLS;/);
  const [, id, key, secret] = run.output.match(/app id (\S+), key (\S+), secret (\S+)/);
  assert.deepEqual([host, Number(port), key], [address, server, config.key]);
  assert.equal(await signed(host, port, id, key, secret), 200);
  assert.doesNotMatch(run.output, /has a snippet/); // with secrets of its own the server has no such page
  run.child.kill('SIGINT');
  assert.equal((await run.exited)[0], 0, run.output);
  await rm(data, { recursive: true });
});

test('with a secret of your own the chat uses it, and no page is named that is not there', async () => {
  const { server, chat, env } = await addresses();
  const data = await mkdtemp(path.join(os.tmpdir(), 'chat-run-'));
  const run = makeRun({ ...env, CHAT_DATA: data, CHANNELS_APP_ID: '7', CHANNELS_APP_KEY: 'my-key', CHANNELS_APP_SECRET: 'my-secret' });
  await run.prints(/Ctrl-C stops everything/);
  assert.match(run.output, new RegExp(`host 127\\.0\\.0\\.1, port ${server}, without TLS;\n +app id 7, key my-key, secret my-secret`));
  assert.doesNotMatch(run.output, /has a snippet/);
  assert.equal((await (await fetch(`http://127.0.0.1:${chat}/api/config`)).json()).key, 'my-key');
  run.child.kill('SIGINT');
  assert.equal((await run.exited)[0], 0, run.output);
  await rm(data, { recursive: true });
});

test('a port that is taken is told in one sentence, with the cure', async () => {
  const { chat, env } = await addresses();
  const taken = net.createServer().listen(chat, '127.0.0.1');
  await once(taken, 'listening');
  const run = makeRun(env);
  const [code] = await run.exited;
  taken.close();
  assert.equal(code, 1);
  assert.match(run.output, new RegExp(`Port ${chat}, for the chat, is taken: .*make run CHAT_LISTEN=`));
});
