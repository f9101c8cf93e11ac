// What works over one of the HTTP transports of pusher-js, in headless Chromium
// from a page of another origin, and in Node.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { connected, joined, rest } from './clients.mjs';
import { connect, usePages } from './pages.mjs';
import { startServer } from './server.mjs';
import * as settings from './settings.mjs';

// testTransport defines the tests.
export function testTransport(transport, { inNode = true } = {}) {
  const { open, join, next } = usePages();

  const transports = [transport];
  const names = [
    'web-public',
    'cache-web',
    'private-web',
    'private-cache-web',
    'private-encrypted-web',
    'private-encrypted-cache-web',
    'presence-web',
    'presence-cache-web',
  ].map((name) => `${name}-${transport}`);

  test(`${transport}: subscribe, receive, unsubscribe`, async (t) => {
    const api = rest();
    const page = await open(t);
    await connect(page, { user: 'ada', transports });
    assert.equal(await page.evaluate(() => kit.transport()), transport);
    await join(page, 'web-fence');
    for (const name of names) {
      await join(page, name);
      if (name.includes('cache-')) assert.equal((await next(page, name)).event, 'pusher:cache_miss');
      await api.trigger(name, 'my-event', { text: 'é😀' });
      assert.deepEqual(await next(page, name), { event: 'my-event', data: { text: 'é😀' } });

      await page.evaluate((name) => pusher.unsubscribe(name), name);
      await page.evaluate(() => pusher.send_event('pusher:ping', {}));
      await join(page, `${name}-after`);
      await api.trigger(name, 'my-event', { late: true });
      await api.trigger('web-fence', 'fence', {});
      assert.equal((await next(page, 'web-fence')).event, 'fence');
      assert.deepEqual(await page.evaluate((name) => kit.rest(name), name), []);
    }
  });

  test(`${transport}: members come and go with their pages`, async (t) => {
    const [ada, bob] = [await open(t), await open(t)];
    const channel = `presence-pages-${transport}`;
    await connect(ada, { user: 'ada', transports });
    await connect(bob, { user: 'bob', transports });
    await join(ada, channel);
    await join(bob, channel);
    assert.deepEqual(await bob.evaluate((name) => pusher.channel(name).members.count, channel), 2);
    assert.deepEqual(await next(ada, channel), { event: 'pusher:member_added', data: { id: 'bob', info: { name: 'bob' } } });

    await bob.evaluate((name) => pusher.channel(name).trigger('client-wave', { n: 1 }), channel);
    assert.deepEqual(await next(ada, channel), { event: 'client-wave', data: { n: 1 } });
    assert.equal(await ada.evaluate(() => kit.sender()), 'bob');

    await bob.goto('about:blank'); // no goodbye
    assert.deepEqual(await next(ada, channel), { event: 'pusher:member_removed', data: { id: 'bob', info: { name: 'bob' } } });
  });

  test(`${transport}: an unknown key ends in disconnected`, async (t) => {
    const page = await open(t);
    const { state, error } = await page.evaluate((options) => kit.fail(options), {
      host: settings.host,
      port: settings.port,
      key: 'nobody',
      transports,
    });
    assert.equal(state, 'disconnected');
    assert.equal(error.data.code, 4001);
  });

  test(`${transport}: an origin that is not allowed is told so`, async (t) => {
    const server = await startServer(t, { env: { CHANNELS_APP_ALLOWED_ORIGINS: 'https://shop.example' } });
    const page = await open(t);
    const { state, error } = await page.evaluate((options) => kit.fail(options), {
      host: settings.host,
      port: server.port,
      key: settings.key,
      transports,
    });
    assert.equal(state, 'disconnected');
    assert.equal(error.data.code, 4009);
    await server.terminate();
  });

  test(`${transport}: back after 4200`, async (t) => {
    const server = await startServer(t);
    const api = rest({ port: server.port });
    const page = await open(t);
    const before = await connect(page, { port: server.port, user: 'ada', transports });
    await join(page, 'presence-back');
    const back = page.evaluate(() => kit.reconnected('presence-back'));
    await server.terminate();

    const successor = await startServer(t, { listen: server.address });
    assert.notEqual(await back, before);
    await api.trigger('presence-back', 'my-event', { n: 1 });
    assert.deepEqual(await next(page, 'presence-back'), { event: 'my-event', data: { n: 1 } });
    await page.evaluate(() => pusher.disconnect());
    await successor.terminate();
  });

  test(`${transport}: 10,000 events, once and in order`, async (t) => {
    const api = rest();
    const page = await open(t);
    const channel = `audit-${transport}`;
    await connect(page, { transports });
    await join(page, channel);
    await page.evaluate((name) => kit.audit(name), channel);
    const audited = () => page.evaluate(() => kit.audited());
    const stall = setInterval(() => {
      // a page that is busy polls late, and reads late
      page.evaluate(() => { for (const end = Date.now() + 300; Date.now() < end; ); }).catch(() => {});
    }, 1000);
    t.after(() => clearInterval(stall));
    const events = 10_000;
    for (let n = 0; n < events; n += 10) {
      await api.triggerBatch(Array.from({ length: 10 }, (_, i) => ({ channel, name: 'numbered', data: n + i })));
      if (n % 2500 === 0) await reconnect(n);
    }

    // reconnect lets everything arrive, and connects anew.
    async function reconnect(n) {
      await page.waitForFunction((n) => audited.next === n, n + 10);
      await page.evaluate(async (name) => {
        const back = kit.reconnected(name);
        pusher.disconnect();
        pusher.connect();
        await back;
      }, channel);
    }
    await page.waitForFunction((events) => audited.next === events, events);
    assert.deepEqual(await audited(), { next: events, mistakes: [] });
    assert.equal(await page.evaluate(() => kit.transport()), transport);
  });

  test(`${transport}: rollovers in the browser count as here`, async (t) => {
    const api = rest();
    const page = await open(t);
    const channel = `rollover-${transport}`;
    const before = await connect(page, { transports });
    await join(page, channel);
    for (const text of ['a'.repeat(8000), 'é'.repeat(4000), '😀'.repeat(2000)]) {
      for (let n = 0; n < 100; n++) await api.trigger(channel, 'big', { n, text });
      for (let n = 0; n < 100; n++) assert.deepEqual(await next(page, channel), { event: 'big', data: { n, text } });
    }
    assert.equal(await page.evaluate(() => pusher.connection.socket_id), before);
  });

  if (inNode) test(`${transport}: in Node`, async (t) => {
    const api = rest();
    const options = { enabledTransports: transports, httpHost: settings.host, httpPort: settings.port };
    const pusher = await connected(t, { ...options, member: { user_id: 'ada' } });
    assert.equal(pusher.connection.connection.transport.name, transport);
    const channel = await joined(pusher, `presence-node-${transport}`);
    await api.trigger(channel.name, 'my-event', { n: 1 });
    assert.deepEqual(await channel.inbox.next(), { event: 'my-event', data: { n: 1 } });
  });
}
