// pusher-js with its default settings where WebSockets are blocked, in headless
// Chromium from a page of another origin.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { rest } from './lib/clients.mjs';
import { startBlackHole, startNginx } from './lib/nginx.mjs';
import { connect, usePages } from './lib/pages.mjs';
import * as settings from './lib/settings.mjs';

const { open, join, next } = usePages();

// A proxy that lets no WebSocket through, on a site with and without TLS. pusher-js
// waits 5 s before it tries HTTP without TLS, and 2 s with it.
for (const [name, secure, within] of [['plain', false, 8000], ['TLS', true, 5000]]) {
  for (const [how, answer] of [['refused', 'return 403;'], ['silent', 'proxy_pass http://127.0.0.1:9; proxy_connect_timeout 60s;']]) {
    test(`default settings, WebSockets ${how}, ${name}`, async (t) => {
      const blackHole = how === 'silent' ? await startBlackHole(t) : 0;
      const port = await startNginx(t, {
        secure,
        locations: `location /app/ { ${answer.replace(':9;', `:${blackHole};`)} }
          location / { proxy_pass http://${settings.host}:${settings.port}; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; }`,
      });
      const api = rest();
      const page = await open(t);
      const began = Date.now();
      await connect(page, { port, user: 'ada', transports: null, secure });
      const took = Date.now() - began;
      assert.ok(took < within, `connected after ${took} ms`);
      assert.equal(await page.evaluate(() => kit.transport()), 'xhr_streaming');
      const channel = `presence-blocked-${name}-${how}`;
      const other = await open(t);
      await connect(other, { user: 'bob' });
      await join(page, channel);
      await join(other, channel);
      assert.equal((await next(page, channel)).event, 'pusher:member_added');
      await api.trigger(channel, 'my-event', { n: 1 });
      assert.deepEqual(await next(page, channel), { event: 'my-event', data: { n: 1 } });
      assert.deepEqual(await next(other, channel), { event: 'my-event', data: { n: 1 } });
      await page.evaluate((name) => pusher.channel(name).trigger('client-wave', { n: 2 }), channel);
      assert.deepEqual(await next(other, channel), { event: 'client-wave', data: { n: 2 } });
      await other.evaluate((name) => pusher.channel(name).trigger('client-wave', { n: 3 }), channel);
      assert.deepEqual(await next(page, channel), { event: 'client-wave', data: { n: 3 } });
    });
  }
}

// A proxy that blocks WebSockets and compresses answers, which holds them back until
// they end: pusher-js notices, 4 s after it has begun to stream, and polls.
test('default settings, behind a proxy that holds answers back', async (t) => {
  const port = await startNginx(t, {
    locations: `location /app/ { return 403; }
      location / { proxy_pass http://${settings.host}:${settings.port}; proxy_http_version 1.1; proxy_set_header Connection "";
        proxy_ignore_headers X-Accel-Buffering; gzip on; gzip_types *; gzip_proxied any; gzip_min_length 0; }`,
  });
  const api = rest();
  const page = await open(t);
  const began = Date.now();
  await connect(page, { port, transports: null });
  const took = Date.now() - began;
  assert.ok(took < 14_000, `connected after ${took} ms`);
  assert.equal(await page.evaluate(() => kit.transport()), 'xhr_polling');
  await join(page, 'web-held');
  await api.trigger('web-held', 'my-event', { n: 1 });
  assert.deepEqual(await next(page, 'web-held'), { event: 'my-event', data: { n: 1 } });
});
