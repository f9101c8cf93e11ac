// The Node SDK: every method that the server serves so far, and its errors.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { connected, fence, joined, rest } from './lib/clients.mjs';

const json = async (response) => (await response).json();

// fails requires a refusal with this status and text.
async function fails(promise, status, text) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.status, status, error.body);
    assert.match(error.body, text);
    return true;
  });
}

test('trigger', async (t) => {
  const api = rest();
  const pusher = await connected(t);
  const [one, two] = [await joined(pusher, 'one'), await joined(pusher, 'two')];

  assert.deepEqual(await json(api.trigger('one', 'my-event', { message: 'hello' })), {});
  assert.deepEqual((await one.inbox.next()).data, { message: 'hello' });

  await api.trigger(['one', 'two'], 'to-both', 'text');
  for (const channel of [one, two]) {
    const { event, data } = await channel.inbox.next();
    assert.deepEqual([event, data], ['to-both', 'text']);
  }

  await api.trigger('one', 'App\\Events\\OrderShipped', { unicode: 'é漢😀', odd: '&+% =' });
  const { event, data } = await one.inbox.next();
  assert.deepEqual([event, data], ['App\\Events\\OrderShipped', { unicode: 'é漢😀', odd: '&+% =' }]);
});

test('trigger with info', async (t) => {
  const api = rest();
  const pusher = await connected(t, { member: { user_id: 'ada' } });
  await joined(pusher, 'counted');
  await joined(pusher, 'presence-counted');
  const { channels } = await json(
    api.trigger(['counted', 'presence-counted', 'empty'], 'e', {}, { info: 'user_count,subscription_count' }),
  );
  assert.deepEqual(channels.counted, { subscription_count: 1 });
  assert.deepEqual(channels['presence-counted'], { user_count: 1, subscription_count: 1 });
  assert.deepEqual(channels.empty, { subscription_count: 0 });
});

test('triggerBatch', async (t) => {
  const api = rest();
  const [a, b] = [await connected(t), await connected(t)];
  const mine = await joined(a, 'batch');
  const theirs = await joined(b, 'batch');

  const answer = await json(
    api.triggerBatch([
      { channel: 'batch', name: 'first', data: { n: 1 } },
      { channel: 'batch', name: 'second', data: 'text', socket_id: a.connection.socket_id },
      { channel: 'batch', name: 'third', data: { n: 3 } },
    ]),
  );
  assert.deepEqual(answer, {});
  assert.deepEqual(
    [await theirs.inbox.next(), await theirs.inbox.next(), await theirs.inbox.next()].map(({ event }) => event),
    ['first', 'second', 'third'],
  );
  assert.deepEqual([await mine.inbox.next(), await mine.inbox.next()].map(({ event }) => event), ['first', 'third']);

  const counted = await json(
    api.triggerBatch([
      { channel: 'batch', name: 'first', data: 1, info: 'subscription_count' },
      { channel: 'batch', name: 'second', data: 2 },
    ]),
  );
  assert.deepEqual(counted, { batch: [{ subscription_count: 2 }, {}] });
});

test('an encrypted batch', async (t) => {
  const api = rest();
  const channel = await joined(await connected(t), 'private-encrypted-batch');
  await api.triggerBatch([{ channel: channel.name, name: 'sealed', data: { n: 1 } }]);
  const { event, data } = await channel.inbox.next();
  assert.deepEqual([event, data], ['sealed', { n: 1 }]);
});

test('channels', async (t) => {
  const api = rest();
  const one = await connected(t, { member: { user_id: 'ada' } });
  const two = await connected(t, { member: { user_id: 'bob' } });
  for (const name of ['list-public', 'private-list', 'presence-list']) await joined(one, name);
  await joined(two, 'presence-list');

  const all = await json(api.get({ path: '/channels' }));
  for (const name of ['list-public', 'private-list', 'presence-list']) assert.deepEqual(all.channels[name], {});
  assert.deepEqual(await json(api.get({ path: '/channels', params: { filter_by_prefix: 'private-list' } })), {
    channels: { 'private-list': {} },
  });
  assert.deepEqual(
    await json(api.get({ path: '/channels', params: { filter_by_prefix: 'presence-list', info: 'user_count' } })),
    { channels: { 'presence-list': { user_count: 2 } } },
  );
  assert.deepEqual(await json(api.get({ path: '/channels', params: { filter_by_prefix: 'nothing-' } })), { channels: {} });
  await fails(api.get({ path: '/channels', params: { info: 'user_count' } }), 400, /presence channels/);
});

test('channel and users', async (t) => {
  const api = rest();
  const pusher = await connected(t, { member: { user_id: 7 } });
  await joined(pusher, 'one-public');
  await joined(pusher, 'presence-one');
  const cached = await joined(pusher, 'cache-one');

  assert.deepEqual(await json(api.get({ path: '/channels/one-public' })), { occupied: true });
  assert.deepEqual(await json(api.get({ path: '/channels/one-public', params: { info: 'subscription_count' } })), {
    occupied: true,
    subscription_count: 1,
  });
  assert.deepEqual(await json(api.get({ path: '/channels/presence-one', params: { info: 'user_count' } })), {
    occupied: true,
    user_count: 1,
  });
  assert.deepEqual(await json(api.get({ path: '/channels/nowhere' })), { occupied: false });
  assert.deepEqual(await json(api.get({ path: '/channels/presence-one/users' })), { users: [{ id: '7' }] });
  assert.deepEqual(await json(api.get({ path: '/channels/presence-nowhere/users' })), { users: [] });

  await api.trigger(cached.name, 'kept', { n: 1 });
  const { cache } = await json(api.get({ path: '/channels/cache-one', params: { info: 'cache' } }));
  assert.equal(cache.data, '{"n":1}');
  assert.ok(cache.ttl > 1790 && cache.ttl <= 1800, `ttl ${cache.ttl}`);

  await fails(
    api.get({ path: '/channels/one-public', params: { info: 'user_count' } }),
    400,
    /^Cannot retrieve the user count unless the channel is a presence channel\n?$/,
  );
  await fails(api.get({ path: '/channels/one-public/users' }), 400, /./);
});

test('refusals reach the caller with their texts', async (t) => {
  const api = rest();
  const witness = await joined(await connected(t), 'refusals');

  await fails(rest({ secret: 'guess' }).trigger('refusals', 'e', {}), 401, /^Invalid signature: you should have sent HmacSHA256Hex\("POST\\n\/apps\/1\/events\\nauth_key=/);
  await fails(rest({ key: 'nobody' }).trigger('refusals', 'e', {}), 401, /^Unknown auth_key/);
  await fails(rest({ appId: '2' }).trigger('refusals', 'e', {}), 404, /./);
  await fails(api.trigger('refusals', 'pusher:error', {}), 400, /./);
  await fails(api.trigger('refusals', 'e', {}, { info: 'does-not-exist' }), 400, /^info should be a comma separated list of attributes/);
  await fails(api.post({ path: '/events', body: { name: 'e', channels: ['a b', 'refusals'], data: '' } }), 400, /./);
  await fails(api.trigger('refusals', 'e', 'a'.repeat(10_241)), 413, /^The data content of this event exceeds the allowed maximum \(10240 bytes\)/);
  await fails(
    api.triggerBatch(Array.from({ length: 11 }, () => ({ channel: 'refusals', name: 'e', data: '' }))),
    400,
    /./,
  );
  await fails(api.get({ path: '/nonsense' }), 404, /./);
  await fence(assert, api, witness); // and none of them was published
});
