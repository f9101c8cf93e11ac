// pusher-js and Laravel Echo in headless Chromium, from a page of another
// origin, with an auth endpoint of that origin.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchBrowser } from './lib/browser.mjs';
import { rest } from './lib/clients.mjs';
import { startServer } from './lib/server.mjs';
import * as settings from './lib/settings.mjs';
import { startSite } from './lib/site.mjs';

let browser, site;

before(async () => {
  site = await startSite();
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  await site?.close();
});

// open gives a page of the other origin, as far as its scripts are loaded. What
// a page throws fails its test.
async function open(t, path = '/') {
  const page = await browser.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error));
  t.after(async () => {
    await page.close();
    assert.deepEqual(errors, []);
  });
  await page.goto(site.origin + path);
  await page.waitForFunction(() => globalThis.kit);
  return page;
}

// connect opens window.pusher in the page and gives its socket id.
const connect = (page, options = {}) =>
  page.evaluate((options) => kit.connect(options), { host: settings.host, port: settings.port, key: settings.key, ...options });
const join = (page, name) => page.evaluate((name) => kit.join(name), name);
const next = (page, name) => page.evaluate((name) => kit.next(name), name);

test('the page is of another origin', async (t) => {
  const page = await open(t);
  const origin = await page.evaluate(() => location.origin);
  assert.notEqual(origin, `http://${settings.host}:${settings.port}`);
});

for (const name of [
  'web-public',
  'cache-web',
  'private-web',
  'private-cache-web',
  'private-encrypted-web',
  'private-encrypted-cache-web',
  'presence-web',
  'presence-cache-web',
]) {
  test(`${name}: subscribe, receive, unsubscribe`, async (t) => {
    const api = rest();
    const page = await open(t);
    await connect(page, { user: 'ada' });
    await join(page, name);
    if (name.includes('cache-')) assert.equal((await next(page, name)).event, 'pusher:cache_miss');
    await api.trigger(name, 'my-event', { text: 'é😀' });
    assert.deepEqual(await next(page, name), { event: 'my-event', data: { text: 'é😀' } });

    await page.evaluate((name) => pusher.unsubscribe(name), name);
    await join(page, 'web-fence');
    await api.trigger(name, 'my-event', { late: true });
    await api.trigger('web-fence', 'fence', {});
    assert.equal((await next(page, 'web-fence')).event, 'fence');
    assert.deepEqual(await page.evaluate((name) => kit.rest(name), name), []);
  });
}

test('members come and go with their pages', async (t) => {
  const [ada, bob] = [await open(t), await open(t)];
  await connect(ada, { user: 'ada' });
  await connect(bob, { user: 'bob' });
  await join(ada, 'presence-pages');
  await join(bob, 'presence-pages');
  assert.deepEqual(await bob.evaluate(() => pusher.channel('presence-pages').members.count), 2);
  assert.deepEqual(await next(ada, 'presence-pages'), {
    event: 'pusher:member_added',
    data: { id: 'bob', info: { name: 'bob' } },
  });

  await bob.evaluate(() => pusher.channel('presence-pages').trigger('client-wave', { n: 1 }));
  assert.deepEqual(await next(ada, 'presence-pages'), { event: 'client-wave', data: { n: 1 } });
  assert.equal(await ada.evaluate(() => kit.sender()), 'bob');

  await bob.goto('about:blank'); // no goodbye
  assert.deepEqual(await next(ada, 'presence-pages'), {
    event: 'pusher:member_removed',
    data: { id: 'bob', info: { name: 'bob' } },
  });
});

test('an auth endpoint that says no', async (t) => {
  const page = await open(t);
  await connect(page);
  const error = await page.evaluate(() => kit.refused('private-forbidden'));
  assert.equal(error.status, 403);
  await join(page, 'web-after');
});

test('4001 ends in disconnected', async (t) => {
  const page = await open(t);
  const { state, error } = await page.evaluate(
    (options) => kit.fail(options),
    { host: settings.host, port: settings.port, key: 'nobody' },
  );
  assert.equal(state, 'disconnected');
  assert.deepEqual(error.data, {
    code: 4001,
    message: 'App key nobody not in this cluster. Did you forget to specify the cluster?',
  });
});

test('an origin that is not allowed is told so', async (t) => {
  const server = await startServer(t, { env: { CHANNELS_APP_ALLOWED_ORIGINS: 'https://shop.example' } });
  const page = await open(t);
  const { state, error } = await page.evaluate(
    (options) => kit.fail(options),
    { host: settings.host, port: server.port, key: settings.key },
  );
  assert.equal(state, 'disconnected');
  assert.equal(error.data.code, 4009);
  await server.terminate();
});

test('an origin that is allowed gets in', async (t) => {
  const server = await startServer(t, { env: { CHANNELS_APP_ALLOWED_ORIGINS: `https://shop.example,${site.origin}` } });
  const page = await open(t);
  await connect(page, { port: server.port });
  await join(page, 'web-allowed');
  await page.evaluate(() => pusher.disconnect());
  await server.terminate();
});

test('back after 4200', async (t) => {
  const server = await startServer(t);
  const api = rest({ port: server.port });
  const page = await open(t);
  const before = await connect(page, { port: server.port, user: 'ada' });
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

for (const broadcaster of ['reverb', 'pusher']) {
  test(`Echo: ${broadcaster}`, async (t) => {
    const api = rest();
    const page = await open(t);
    await page.evaluate((options) => kit.echo(options), {
      broadcaster,
      host: settings.host,
      port: settings.port,
      key: settings.key,
      channel: `echo-${broadcaster}`,
    });
    await api.trigger(`private-echo-${broadcaster}`, 'App\\Events\\Sent', { n: 1 });
    assert.deepEqual(await page.evaluate(() => kit.echoed()), { n: 1 });
  });
}

test('the welcome page sends an event to itself', async (t) => {
  const page = await browser.newPage();
  t.after(() => page.close());
  await page.goto(`http://${settings.host}:${settings.port}/`);
  await page.locator('button:enabled').click();
  await page.locator('#events li', { hasText: /my-event.*hello/ }).waitFor();
});

test('a page of another origin cannot press its button', async (t) => {
  const api = rest();
  const page = await open(t);
  await connect(page);
  await join(page, 'my-channel');
  await page.evaluate(
    (url) => fetch(url, { method: 'POST', mode: 'no-cors' }),
    `http://${settings.host}:${settings.port}/welcome/event`,
  );
  await api.trigger('my-channel', 'fence', {});
  assert.equal((await next(page, 'my-channel')).event, 'fence');
});
