// Client events, sent by pusher-js.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { connected, fence, joined, listen, refusal, rest } from './lib/clients.mjs';

for (const name of ['private-chat', 'private-cache-chat']) {
  test(`${name}: others get it, the sender does not`, async (t) => {
    const api = rest();
    const [a, b, c] = [await connected(t), await connected(t), await connected(t)];
    const channels = [await joined(a, name), await joined(b, name), await joined(c, name)];
    if (name.includes('cache')) for (const channel of channels) await channel.inbox.next('cache_miss');

    assert.equal(channels[0].trigger('client-typing', { who: 'A', deep: [{ é: 1 }] }), true);
    for (const channel of channels.slice(1)) {
      const { event, data } = await channel.inbox.next('client-typing');
      assert.deepEqual([event, data], ['client-typing', { who: 'A', deep: [{ é: 1 }] }]);
    }
    await api.trigger(name, 'fence', {});
    for (const channel of channels) assert.equal((await channel.inbox.next()).event, 'fence');
  });
}

for (const name of ['presence-chat', 'presence-cache-chat']) {
  test(`${name}: the sender's user id comes with it`, async (t) => {
    const [a, b] = [await connected(t, { member: { user_id: 'ada' } }), await connected(t, { member: { user_id: 'bob' } })];
    const [adas, bobs] = [await joined(a, name), await joined(b, name)];
    const anotherTab = await joined(await connected(t, { member: { user_id: 'ada' } }), name);
    const others = [bobs, anotherTab].map((channel) => listen(channel, 'client-typing'));
    assert.equal(adas.trigger('client-typing', { n: 1 }), true);
    for (const inbox of others) {
      assert.deepEqual(await inbox.next(), { data: { n: 1 }, metadata: { user_id: 'ada' } });
    }
  });
}

test('data arrives as a string on the wire, whatever it was', async (t) => {
  const [a, b] = [await connected(t), await connected(t)];
  const sender = await joined(a, 'private-types');
  const receiver = await joined(b, 'private-types');
  const wire = [];
  // Below pusher-js's own decoding: the socket's text.
  b.connection.connection.transport.socket.addEventListener('message', ({ data }) => wire.push(data));

  for (const data of [{ a: 1 }, '{"a":1}', 'text', [1, 2], 5]) {
    sender.trigger('client-typed', data);
    await receiver.inbox.next('client-typed');
  }
  assert.deepEqual(
    wire.map((text) => JSON.parse(text).data),
    ['{"a":1}', '{"a":1}', 'text', '[1,2]', '5'],
  );
});

test('a public channel takes no client events', async (t) => {
  const api = rest();
  const [a, b] = [await connected(t), await connected(t)];
  await joined(a, 'public-chat');
  const receiver = await joined(b, 'public-chat');
  const refused = refusal(a);
  a.send_event('client-typing', { n: 1 }, 'public-chat');
  assert.equal((await refused).code, null);
  await fence(assert, api, receiver);
  assert.equal(a.connection.state, 'connected');
});

test('an encrypted channel takes no client events', async (t) => {
  const api = rest();
  const [a, b] = [await connected(t), await connected(t)];
  await joined(a, 'private-encrypted-chat');
  const receiver = await joined(b, 'private-encrypted-chat');
  const refused = refusal(a);
  a.send_event('client-typing', { n: 1 }, 'private-encrypted-chat');
  assert.equal((await refused).code, null);
  await fence(assert, api, receiver);
});

test('one who is not in the channel cannot send to it', async (t) => {
  const api = rest();
  const [a, b] = [await connected(t), await connected(t)];
  const receiver = await joined(b, 'private-closed');
  const refused = refusal(a);
  a.send_event('client-typing', { n: 1 }, 'private-closed');
  assert.equal((await refused).code, null);
  await fence(assert, api, receiver);
});

test('more than ten a second are refused with 4301', async (t) => {
  const [a, b] = [await connected(t), await connected(t)];
  const sender = await joined(a, 'private-flood');
  const receiver = await joined(b, 'private-flood');
  const refused = refusal(a);
  for (let i = 0; i < 30; i++) sender.trigger('client-flood', { i });
  assert.deepEqual(await refused, {
    code: 4301,
    message: 'Client event rejected due to rate limit',
  });
  for (let i = 0; i < 10; i++) assert.deepEqual((await receiver.inbox.next()).data, { i });
  assert.equal(a.connection.state, 'connected');
});
