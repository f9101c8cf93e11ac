// A page that names a token behind its key, in headless Chromium with pusher-js as it is:
// offline for a while, and with nodes that die or are restarted. And what servers can do
// about it with their SDK: read a history, and publish once.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { rest } from './lib/clients.mjs';
import { freePort, startNginx } from './lib/nginx.mjs';
import { connect, usePages } from './lib/pages.mjs';
import { startRedis } from './lib/redis.mjs';
import { startServer } from './lib/server.mjs';
import * as settings from './lib/settings.mjs';

const { open, join, next } = usePages();

const env = { CHANNELS_APP_RESUME: '2m', CHANNELS_APP_HISTORY_EVENTS: '500' };

// startNodes gives a number of nodes on one Redis, behind a proxy that takes them in turn.
async function startNodes(t, count) {
  const redis = await startRedis(t);
  const nodes = [];
  for (let i = 0; i < count; i++) {
    nodes.push(await startServer(t, { listen: `127.0.0.1:${await freePort()}`, env: { ...env, CHANNELS_REDIS_URL: redis } }));
  }
  const port = await startNginx(t, {
    http: `upstream nodes { ${nodes.map((node) => `server ${node.address} max_fails=0;`).join(' ')} }
      map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
      proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;`,
    locations: `location / { proxy_pass http://nodes; }
      location ~ /xhr$ { proxy_pass http://nodes; proxy_next_upstream error timeout non_idempotent; }`,
  });
  return { nodes, port, redis };
}

// readUntil takes what the page was given on a channel up to a number, and requires that
// none is missing, and that repeats are announced.
async function readUntil(page, channel, state, until) {
  while (state.last < until) {
    const { event, data } = await next(page, channel);
    if (event === 'pusher:resumed') {
      state.replays = data.replayed;
      state.seen = data.possibly_seen;
      state.resumed++;
    } else if (event === 'n') {
      if (data.n <= state.last) assert.ok(state.seen > 0 && state.replays > 0, `${data.n} again, behind ${state.last}`);
      else assert.equal(data.n, state.last + 1);
      state.last = Math.max(state.last, data.n);
      state.replays = Math.max(state.replays - 1, 0);
      state.seen = Math.max(state.seen - 1, 0);
    } else assert.fail(`${event} ${JSON.stringify(data)}`);
  }
}

for (const transport of ['ws', 'xhr_streaming', 'xhr_polling']) {
  test(`${transport}: offline, a node that is restarted, a node that is killed`, async (t) => {
    const { nodes, port, redis } = await startNodes(t, 3);
    const page = await open(t);
    const channel = `private-continuity-${transport}`;
    const transports = transport === 'ws' ? ['ws', 'wss'] : [transport];
    await connect(page, { port, transports, key: `${settings.key}~${crypto.randomUUID()}` });
    await join(page, channel);
    assert.equal((await next(page, channel)).event, 'pusher:missed'); // Redis is new
    const state = { last: 0, replays: 0, seen: 0, resumed: 0 };
    let sent = 0;
    const send = async (count) => {
      const api = rest({ port });
      for (let i = 0; i < count; i++) await api.trigger(channel, 'n', { n: ++sent });
    };
    // holder is the node that has the page's connection. One that was given up may still be
    // waited for by another node.
    const holder = async () => {
      for (;;) {
        const counts = await Promise.all(nodes.map((node) => node.metric('channels_connections{', 'app_id')));
        if (counts.reduce((a, b) => a + b) === 1) return counts.indexOf(1);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    };

    await send(5);
    await readUntil(page, channel, state, sent);

    await page.context().setOffline(true);
    await page.evaluate(() => pusher.connection.connection.close()); // what a network does that is gone
    await send(5);
    await page.context().setOffline(false);
    await send(5);
    await readUntil(page, channel, state, sent);
    assert.ok(state.resumed >= 1, 'it was not resumed');

    for (const how of ['terminate', 'kill']) {
      const before = state.resumed;
      const i = await holder();
      const { address } = nodes[i];
      const ended = nodes[i][how]();
      if (how === 'terminate') await ended;
      nodes[i] = await startServer(t, { listen: address, env: { ...env, CHANNELS_REDIS_URL: redis } });
      await send(10);
      await readUntil(page, channel, state, sent);
      assert.ok(state.resumed > before, `it was not resumed after ${how}`);
    }
  });
}

// renderersOf gives the ids of the processes that run the browser's pages.
async function renderersOf(page) {
  const devtools = await page.context().browser().newBrowserCDPSession();
  const { processInfo } = await devtools.send('SystemInfo.getProcessInfo');
  await devtools.detach();
  return processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);
}

test('a page that stands still for a while, and for too long', async (t) => {
  const node = await startServer(t, { env });
  const page = await open(t);
  await connect(page, { port: node.port, key: `${settings.key}~${crypto.randomUUID()}` });
  await join(page, 'still');
  assert.equal((await next(page, 'still')).event, 'pusher:missed'); // the server is new
  const state = { last: 0, replays: 0, seen: 0, resumed: 0 };
  const api = rest({ port: node.port });
  let sent = 0;
  const send = async () => api.trigger('still', 'n', { n: ++sent });

  await send();
  await readUntil(page, 'still', state, sent);
  const renderers = await renderersOf(page);
  for (const seconds of [5, 45]) { // after thirty, the server ends the connection
    for (const id of renderers) process.kill(id, 'SIGSTOP');
    try {
      for (let i = 0; i < seconds; i++) {
        await send();
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    } finally {
      for (const id of renderers) process.kill(id, 'SIGCONT');
    }
    await send();
    await readUntil(page, 'still', state, sent);
    assert.equal(state.resumed, seconds > 30 ? 1 : 0);
  }
});

test('a page whose process ends, and one that takes its place', async (t) => {
  const node = await startServer(t, { env });
  const api = rest({ port: node.port });
  const key = `${settings.key}~${crypto.randomUUID()}`; // kept, as in sessionStorage
  const page = await open(t);
  await connect(page, { port: node.port, key });
  await join(page, 'kept');
  assert.equal((await next(page, 'kept')).event, 'pusher:missed'); // the server is new
  const state = { last: 0, replays: 0, seen: 0, resumed: 0 };
  await api.trigger('kept', 'n', { n: 1 });
  await readUntil(page, 'kept', state, 1);
  const devtools = await page.context().newCDPSession(page);
  const crashed = page.waitForEvent('crash');
  devtools.send('Page.crash').catch(() => {}); // no answer comes
  await crashed;
  for (let n = 2; n <= 6; n++) await api.trigger('kept', 'n', { n });
  const heir = await open(t);
  await connect(heir, { port: node.port, key });
  await join(heir, 'kept');
  await readUntil(heir, 'kept', state, 6);
  assert.equal(state.resumed, 1);
});

test('a page that is left, and come back to', async (t) => {
  const node = await startServer(t, { env });
  const page = await open(t);
  await connect(page, { port: node.port, key: `${settings.key}~${crypto.randomUUID()}` });
  await join(page, 'left');
  await page.evaluate(() => { window.marked = true; });
  const api = rest({ port: node.port });
  await api.trigger('left', 'n', { n: 1 });
  const { origin } = new URL(page.url());
  await page.goto(`${origin}/?elsewhere`);
  await api.trigger('left', 'n', { n: 2 });
  await page.goBack();
  await page.waitForFunction(() => globalThis.kit);
  if (!(await page.evaluate(() => window.marked === true))) return; // it was loaded anew, and begins anew
  await api.trigger('left', 'n', { n: 3 });
  const got = [];
  while (got.at(-1) !== 3) {
    const { event, data } = await next(page, 'left');
    if (event === 'n' && data.n !== got.at(-1)) got.push(data.n);
  }
  assert.deepEqual(got, [1, 2, 3]);
});

test('servers read a history, and publish once', async (t) => {
  const node = await startServer(t, { env });
  const api = rest({ port: node.port });
  for (let n = 1; n <= 3; n++) await api.trigger('news', 'n', { n });
  const read = async (params) => {
    const response = await api.get({ path: '/channels/news/events', params });
    assert.equal(response.status, 200);
    return response.json();
  };
  const all = await read({});
  assert.deepEqual(all.events.map((e) => [e.event, e.data]), [1, 2, 3].map((n) => ['n', JSON.stringify({ n })]));
  const rests = await read({ after: all.events[0].id, order: 'desc', limit: 1 });
  assert.deepEqual([rests.events[0].data, rests.more, rests.complete], ['{"n":3}', true, true]);

  for (let i = 0; i < 3; i++) await api.trigger(['news', 'other'], 'paid', { n: 4 }, { idempotency_key: 'order-4711' });
  assert.equal((await read({ after: all.events[2].id })).events.length, 1);
  await assert.rejects(api.trigger('news', 'paid', { n: 5 }, { idempotency_key: 'order-4711' }), /422/);
});
