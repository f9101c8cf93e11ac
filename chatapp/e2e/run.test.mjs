// make run, as somebody does who has just cloned the project.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
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

test('it starts everything, says where, and stops it with Ctrl-C', async () => {
  const { server, chat, env } = await addresses();
  const data = await mkdtemp(path.join(os.tmpdir(), 'chat-run-'));
  const run = makeRun({ ...env, CHAT_DATA: data });
  await run.prints(new RegExp(`You: +http://127\\.0\\.0\\.1:${chat}\n +A second person: +http://localhost:${chat}`));
  const page = await (await fetch(`http://127.0.0.1:${chat}/`)).text();
  assert.match(page, /<script type="module"/);
  const config = await (await fetch(`http://127.0.0.1:${chat}/api/config`)).json();
  assert.equal(config.port, server);
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
  await run.prints(/On the network: +http:\/\/\S+/);
  const config = await (await fetch(`http://127.0.0.1:${chat}/api/config`)).json();
  assert.match(config.key, /^[0-9a-f]{32}$/);
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
