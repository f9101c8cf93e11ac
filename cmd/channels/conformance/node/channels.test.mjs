// Every kind of channel, with pusher-js as the client and the Node SDK as the
// customer's server.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { connected, fence, joined, refusal, rest } from './lib/clients.mjs';

const kinds = [
  'public',
  'cache-public',
  'private-room',
  'private-cache-room',
  'private-encrypted-room',
  'private-encrypted-cache-room',
  'presence-room',
  'presence-cache-room',
];

for (const name of kinds) {
  test(`${name}: subscribe, receive, unsubscribe`, async (t) => {
    const api = rest();
    const pusher = await connected(t, { member: { user_id: 'u1', user_info: { name: 'A' } } });
    const channel = await joined(pusher, name);
    if (name.includes('cache-')) {
      assert.equal((await channel.inbox.next('cache_miss')).event, 'pusher:cache_miss');
    }

    await api.trigger(name, 'my-event', { message: 'hello world', list: [1, 'é', null] });
    const received = await channel.inbox.next('my-event');
    assert.equal(received.event, 'my-event');
    assert.deepEqual(received.data, { message: 'hello world', list: [1, 'é', null] });

    // Gone: what is published now does not arrive, what was before does.
    pusher.unsubscribe(name);
    const elsewhere = await joined(pusher, 'elsewhere');
    await api.trigger(name, 'my-event', { too: 'late' });
    await fence(assert, api, elsewhere);
    assert.deepEqual(channel.inbox.rest(), []);

    // And back.
    const again = await joined(pusher, name);
    if (name.includes('cache-')) {
      const replayed = await again.inbox.next('the cached event');
      assert.deepEqual([replayed.event, replayed.data], ['my-event', { too: 'late' }]);
    }
    await fence(assert, api, again);
  });
}

test('a cached event comes after the acknowledgement and before live events', async (t) => {
  const api = rest();
  await api.trigger('cache-order', 'old', 1);
  await api.trigger('cache-order', 'last', 2);
  const pusher = await connected(t);
  const channel = await joined(pusher, 'cache-order');
  await api.trigger('cache-order', 'live', 3);
  const events = [await channel.inbox.next(), await channel.inbox.next()];
  assert.deepEqual(events.map(({ event, data }) => [event, data]), [['last', 2], ['live', 3]]);

  const wire = pusher.wire.rest().map(({ event }) => event);
  assert.deepEqual(wire, ['pusher_internal:subscription_succeeded', 'last', 'live']);
});

test('client events are not cached', async (t) => {
  const [a, b] = [await connected(t), await connected(t)];
  const sender = await joined(a, 'private-cache-client');
  const receiver = await joined(b, 'private-cache-client');
  assert.equal((await receiver.inbox.next()).event, 'pusher:cache_miss');
  assert.equal(sender.trigger('client-note', { n: 1 }), true);
  assert.equal((await receiver.inbox.next()).event, 'client-note');
  const late = await joined(await connected(t), 'private-cache-client');
  assert.equal((await late.inbox.next()).event, 'pusher:cache_miss');
});

test('an event reaches every subscriber but the excluded socket', async (t) => {
  const api = rest();
  const [a, b] = [await connected(t), await connected(t)];
  const [mine, theirs] = [await joined(a, 'exclusion'), await joined(b, 'exclusion')];
  await api.trigger('exclusion', 'not-for-me', {}, { socket_id: a.connection.socket_id });
  assert.equal((await theirs.inbox.next()).event, 'not-for-me');
  await fence(assert, api, theirs);
  assert.equal((await mine.inbox.next()).event, 'fence');
});

test('subscribing twice is an error and changes nothing', async (t) => {
  const api = rest();
  const pusher = await connected(t);
  const channel = await joined(pusher, 'twice');
  const refused = refusal(pusher);
  // pusher-js itself would not send it again.
  pusher.send_event('pusher:subscribe', { channel: 'twice' });
  assert.deepEqual(await refused, { code: null, message: 'Existing subscription to channel twice' });
  await fence(assert, api, channel);
});

test('unsubscribing from what one is not subscribed to is an error', async (t) => {
  const pusher = await connected(t);
  const refused = refusal(pusher);
  pusher.send_event('pusher:unsubscribe', { channel: 'unknown' });
  assert.deepEqual(await refused, {
    code: null,
    message: 'No current subscription to channel unknown, or subscription in progress',
  });
  await joined(pusher, 'still-open');
});

test('an invalid signature leaves the connection open', async (t) => {
  const api = rest();
  const impostor = rest({ secret: 'guess' });
  const pusher = await connected(t, {
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, callback) =>
        callback(null, impostor.authorizeChannel(socketId, channelName)),
    },
  });
  const refused = refusal(pusher);
  const channel = pusher.subscribe('private-refused');
  const { code, message } = await refused;
  assert.equal(code, null);
  assert.match(message, /^Invalid signature: Expected HMAC SHA256 hex digest of \d+\.\d+:private-refused, but got /);
  assert.equal(channel.subscribed, false);
  assert.equal(pusher.connection.state, 'connected');
  await fence(assert, api, await joined(pusher, 'public-after'));
});

test('a hundred channels on one connection', async (t) => {
  const api = rest();
  const pusher = await connected(t);
  const names = Array.from({ length: 100 }, (_, i) => `many-${i}`);
  const channels = await Promise.all(names.map((name) => joined(pusher, name)));
  await api.trigger(names, 'to-all', { n: 1 });
  for (const channel of channels) {
    const { event, data } = await channel.inbox.next(channel.name);
    assert.deepEqual([event, data], ['to-all', { n: 1 }]);
  }
});
