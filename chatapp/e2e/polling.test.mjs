// The four programs of docs/from-polling.md, as they stand there, in a browser.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { chromium } from 'playwright-core';

import { freePort, World } from './lib/world.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const library = path.join(root, 'chatapp/web/node_modules/pusher-js/dist/web/pusher.min.js');
const patience = 20_000;
const snippets = {};
let world, browser, data;

before(async () => {
  const text = await readFile(path.join(root, 'docs/from-polling.md'), 'utf8');
  for (const [, name, body] of text.matchAll(/^<!-- snippet: ([a-z-]+) -->\s*^```[a-z]*\n(.*?)^```$/gms)) snippets[name] = body;
  data = await mkdtemp(path.join(os.tmpdir(), 'from-polling-'));
  world = await World.start();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
});

after(async () => {
  await browser?.close();
  await world?.stop();
  if (data) await rm(data, { recursive: true, force: true });
});

// Program is one phase, running.
class Program {
  static async start(t, phase) {
    const program = new Program();
    program.port = await freePort();
    program.dir = await mkdtemp(path.join(data, `${phase}-`));
    program.files = ['room.go', 'main.go', ...(phase === 'before' ? [] : ['outbox.go'])];
    const point = (body) => body.replaceAll('6001', String(world.channelsPort)).replaceAll('8090', String(program.port));
    await writeFile(path.join(program.dir, 'room.go'), snippets.room);
    await writeFile(path.join(program.dir, 'outbox.go'), snippets.outbox);
    await writeFile(path.join(program.dir, 'main.go'), point(snippets[`${phase}-main`]));
    await writeFile(path.join(program.dir, 'page.html'), point(snippets[`${phase}-page`]));
    // Built in the module, where the SDK is known.
    const files = program.files.map((file) => path.join(program.dir, file));
    await promisify(execFile)('go', ['build', '-buildvcs=false', '-o', path.join(program.dir, 'program'), ...files], { cwd: root });
    program.child = spawn(path.join(program.dir, 'program'), { stdio: 'ignore' });
    t.after(() => program.child.kill('SIGKILL'));
    program.url = `http://127.0.0.1:${program.port}`;
    await until(async () => (await fetch(program.url)).ok);
    return program;
  }

  // visit opens the page in a browser of its own.
  async visit(t, user, room = '1') {
    const context = await browser.newContext();
    t.after(() => context.close());
    context.setDefaultTimeout(patience);
    await context.route('https://js.pusher.com/**', (route) => route.fulfill({ path: library, contentType: 'text/javascript' }));
    const page = await context.newPage();
    page.asked = 0;
    page.on('request', (request) => { if (request.url().includes('/messages?after=')) page.asked++; });
    await page.goto(`${this.url}/login?user=${user}`);
    if (room !== '1') await page.goto(`${this.url}/?room=${room}`);
    return page;
  }
}

async function until(done) {
  for (const end = Date.now() + patience; ;) {
    if (await done().catch(() => false)) return;
    assert.ok(Date.now() < end, 'it takes too long');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function send(page, text) {
  await page.locator('#text').fill(text);
  await page.locator('button').click();
}

const sees = (page, text) => page.locator('li', { hasText: text }).waitFor();
const lines = (page) => page.locator('li').allInnerTexts();
const subscribed = (page) => page.evaluate(() => window.Pusher.instances[0].allChannels()[0].subscribed);

test('before: two pages poll', async (t) => {
  const program = await Program.start(t, 'before');
  const [ada, bob] = [await program.visit(t, 'ada'), await program.visit(t, 'bob')];
  await send(ada, 'hello by polling');
  await sees(bob, 'ada: hello by polling');
  assert.deepEqual(await lines(ada), ['ada: hello by polling']);
  const eve = await program.visit(t, 'eve');
  assert.equal(await eve.evaluate(async () => (await fetch('/rooms/1/messages?after=0')).status), 403);
});

for (const phase of ['phase-one', 'phase-two', 'phase-three']) {
  test(`${phase}: pushed, in order, once, and what was missed is fetched`, async (t) => {
    const program = await Program.start(t, phase);
    const [ada, bob] = [await program.visit(t, 'ada'), await program.visit(t, 'bob')];
    for (const page of [ada, bob]) await until(() => subscribed(page));
    const { asked } = bob;
    for (const text of ['one', 'two', 'three']) {
      await send(ada, text);
      await sees(ada, text);
    }
    await sees(bob, 'three');
    assert.deepEqual(await lines(bob), ['ada: one', 'ada: two', 'ada: three']);
    assert.ok(bob.asked - asked <= 1, `the page asked ${bob.asked - asked} times for what it is told`);

    // Bob loses the connection, and misses some.
    await bob.context().setOffline(true);
    await send(ada, 'four');
    await sees(ada, 'four');
    await bob.context().setOffline(false);
    await sees(bob, 'four');
    await send(ada, 'five');
    await sees(bob, 'five');
    assert.deepEqual(await lines(bob), ['one', 'two', 'three', 'four', 'five'].map((text) => `ada: ${text}`));

    // The server of the channels is away: stored, fetched by polling, and
    // triggered when it is back, which shows nothing twice.
    await world.kill('channels');
    await send(ada, 'six');
    await sees(bob, 'six');
    await world.startChannels();
    for (const page of [ada, bob]) await until(() => subscribed(page));
    await send(ada, 'seven');
    await sees(bob, 'seven');
    assert.equal((await lines(bob)).length, 7);
  });
}

test('a gap in the numbers is fetched', async (t) => {
  const program = await Program.start(t, 'phase-one');
  const bob = await program.visit(t, 'bob');
  await until(() => subscribed(bob));
  await bob.evaluate(async () => {
    await fetch('/rooms/1/messages', { method: 'POST', body: new URLSearchParams({ id: 'a', text: 'first' }) });
    window.Pusher.instances[0].allChannels()[0].emit('new-message', { room: '1', rev: 9, id: 'z', user: 'ada', text: 'far ahead' });
  });
  await sees(bob, 'first');
  assert.deepEqual(await lines(bob), ['bob: first']);
});

for (const phase of ['phase-two', 'phase-three']) {
  test(`${phase}: who is no member is refused`, async (t) => {
    const program = await Program.start(t, phase);
    const prefix = phase === 'phase-two' ? 'private' : 'presence';
    const [ada, eve] = [await program.visit(t, 'ada', '2'), await program.visit(t, 'eve')];
    for (const page of [ada, eve]) await page.waitForFunction(() => document.title === 'refused: 403');
    const status = (channel) => ada.evaluate(async (channel_name) => (await fetch('/pusher/auth', {
      method: 'POST', body: new URLSearchParams({ socket_id: '1.2', channel_name }),
    })).status, channel);
    assert.equal(await status(`${prefix}-chat-room-1`), 200);
    for (const channel of [`${prefix}-chat-room-2`, `${prefix}-chat-room-3`, `${prefix}-other`, 'private-other-1', '']) {
      assert.equal(await status(channel), 403, channel);
    }
  });
}

test('phase three: who is there, and who is removed', async (t) => {
  const program = await Program.start(t, 'phase-three');
  const [ada, bob] = [await program.visit(t, 'ada'), await program.visit(t, 'bob')];
  await ada.locator('#here', { hasText: 'here: ada, bob' }).waitFor();
  assert.equal(await ada.evaluate(async () => (await fetch('/rooms/1/members/bob', { method: 'DELETE' })).status), 200);
  await ada.locator('#here', { hasText: /^here: ada$/ }).waitFor();
  await bob.waitForFunction(() => document.title === 'refused: 403');
  await send(ada, 'without bob');
  await sees(ada, 'without bob');
  assert.deepEqual(await lines(bob), []);
});
