// pusher-js over HTTP with three nodes on one Redis, behind an nginx that takes them
// in turn: the requests of a client come to all of them.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { rest } from './lib/clients.mjs';
import { freePort, startNginx } from './lib/nginx.mjs';
import { connect, usePages } from './lib/pages.mjs';
import { startRedis } from './lib/redis.mjs';
import { startServer } from './lib/server.mjs';

const { open, join, next } = usePages();

// startNodes gives nodes with these options, on one Redis.
async function startNodes(t, options) {
  const redis = await startRedis(t);
  const nodes = [];
  for (const { listen, env } of options) nodes.push(await startServer(t, { listen, env: { ...env, CHANNELS_REDIS_URL: redis } }));
  return nodes;
}

// startProxy gives the port of a proxy, any one unless given. It has the lines of
// docker-compose.yml that matter, but takes the nodes in turn.
function startProxy(t, nodes, port) {
  return startNginx(t, {
    port,
    http: `upstream nodes { ${nodes.map((node) => `server ${node.address} max_fails=0;`).join(' ')} }
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;`,
    locations: `location / { proxy_pass http://nodes; }
      location ~ /xhr$ { proxy_pass http://nodes; proxy_next_upstream error timeout non_idempotent; }`,
  });
}

// openPages opens so many pages, all subscribed to a channel.
async function openPages(t, count, { port, transport, channel }) {
  const pages = [];
  for (let i = 0; i < count; i++) {
    const page = await open(t);
    await connect(page, { port, transports: [transport] });
    await join(page, channel);
    pages.push(page);
  }
  return pages;
}

// wave has a page send a number to the channel, which all others get.
async function wave(page, pages, channel, n) {
  await page.evaluate(([name, n]) => pusher.channel(name).trigger('client-wave', { n }), [channel, n]);
  for (const other of pages.filter((p) => p !== page)) {
    assert.deepEqual(await next(other, channel), { event: 'client-wave', data: { n } });
  }
}

const sum = async (nodes, ...metric) =>
  (await Promise.all(nodes.map((node) => node.metric(...metric)))).reduce((a, b) => a + b);

const socketId = (page) => page.evaluate(() => pusher.connection.socket_id);

for (const transport of ['xhr_streaming', 'xhr_polling']) {
  test(`${transport}: nodes in turn, of which one is killed`, async (t) => {
    const nodes = await startNodes(t, [{}, {}, {}]);
    const port = await startProxy(t, nodes);
    const channel = `private-turns-${transport}`;
    const pages = await openPages(t, 6, { port, transport, channel });

    // What is killed later has some of the clients.
    const clientsOf = (node) => node.metric('channels_transport_connections', `transport="${transport}"`);
    const counts = await Promise.all(nodes.map(clientsOf));
    const lost = Math.max(...counts);
    assert.ok(lost < pages.length, `clients of the nodes: ${counts}`);
    const [victim] = nodes.splice(counts.indexOf(lost), 1);
    const api = rest({ port: nodes[0].port });

    // Messages both ways.
    for (const [i, page] of pages.entries()) {
      await wave(page, pages, channel, i);
      await api.trigger(channel, 'my-event', { n: i });
      for (const each of pages) assert.deepEqual(await next(each, channel), { event: 'my-event', data: { n: i } });
    }
    assert.ok((await sum([victim, ...nodes], 'channels_forwarded_requests_total', 'outcome="done"')) >= 3, 'hardly anything was forwarded');

    // Order, and exactly once.
    for (const page of pages) await page.evaluate((name) => kit.audit(name), channel);
    let sent = 0;
    const number = async (upTo) => {
      for (; sent < upTo; sent += 10) {
        await api.triggerBatch(Array.from({ length: 10 }, (_, i) => ({ channel, name: 'numbered', data: sent + i })));
      }
    };
    const complete = async (page) => {
      await page.waitForFunction((n) => audited.next === n, sent);
      assert.deepEqual(await page.evaluate(() => kit.audited()), { next: sent, mistakes: [] });
    };
    await number(2000);
    for (const page of pages) await complete(page);

    // kill -9
    const before = await Promise.all(pages.map(socketId));
    const began = Date.now();
    await victim.kill();
    while ((await sum(nodes, 'channels_transport_connections', `transport="${transport}"`)) < pages.length) {
      assert.ok(Date.now() - began < 15_000, 'not all clients are back');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const stayed = [];
    for (const [i, page] of pages.entries()) {
      await page.waitForFunction((name) => pusher.connection.state === 'connected' && pusher.channel(name).subscribed, channel);
      if ((await socketId(page)) === before[i]) stayed.push(page);
    }
    t.diagnostic(`${lost} clients were back after ${Date.now() - began} ms`);
    assert.equal(stayed.length, pages.length - lost);
    await number(2400);
    for (const page of stayed) await complete(page);
    for (const page of pages) {
      await page.waitForFunction((n) => audited.next === n, sent);
      assert.equal(await page.evaluate(() => kit.transport()), transport);
    }
    for (const page of pages) await page.evaluate(() => pusher.disconnect());
    for (const node of nodes) await node.terminate();
  });
}

// Nodes that do not reach each other have names of their own, by which clients stay
// with one of them. The names here are addresses, since pusher-js keeps the port.
for (const transport of ['xhr_streaming', 'xhr_polling']) {
  test(`${transport}: clients stay at public_hostname`, async (t) => {
    const port = await freePort();
    const nodes = await startNodes(
      t,
      ['127.0.0.11', '127.0.0.12'].map((name) => ({
        listen: `${name}:${port}`,
        env: { CHANNELS_ADVERTISE: 'off', CHANNELS_PUBLIC_HOSTNAME: name },
      })),
    );
    await startProxy(t, nodes, port);
    const api = rest({ port });
    const channel = `private-named-${transport}`;
    const pages = await openPages(t, 4, { port, transport, channel });
    for (const [i, page] of pages.entries()) {
      await wave(page, pages, channel, i);
      await api.trigger(channel, 'my-event', { n: i });
      for (const each of pages) assert.deepEqual(await next(each, channel), { event: 'my-event', data: { n: i } });
    }
    assert.equal(await sum(nodes, 'channels_transport_connections', `transport="${transport}"`), pages.length);
    for (const page of pages) await page.evaluate(() => pusher.disconnect());
    for (const node of nodes) await node.terminate();
  });
}
