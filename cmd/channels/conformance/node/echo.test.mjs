// Laravel Echo over pusher-js, with both broadcasters that speak the protocol.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import Echo from 'laravel-echo';
import Pusher from 'pusher-js';

import { authorizer, pusherOptions, rest } from './lib/clients.mjs';
import { Inbox } from './lib/inbox.mjs';
import { key } from './lib/settings.mjs';

function open(t, broadcaster, member) {
  const { cluster, ...options } = pusherOptions({ channelAuthorization: authorizer(member) });
  const echo = new Echo({
    broadcaster,
    Pusher,
    key,
    ...(broadcaster === 'pusher' && { cluster }), // reverb sets its own
    ...options,
  });
  t.after(() => echo.disconnect());
  return echo;
}

// subscribed resolves when the channel is acknowledged.
const subscribed = (channel) => new Promise((resolve) => channel.subscribed(resolve));

for (const broadcaster of ['reverb', 'pusher']) {
  test(`${broadcaster}: channel`, async (t) => {
    const api = rest();
    const echo = open(t, broadcaster);
    const inbox = new Inbox();
    const channel = echo.channel(`orders-${broadcaster}`).listen('OrderShipped', (data) => inbox.put(data));
    channel.listen('.plain', (data) => inbox.put(data));
    await subscribed(channel);

    await api.trigger(channel.name, 'App\\Events\\OrderShipped', { id: 1 });
    assert.deepEqual(await inbox.next(), { id: 1 });
    await api.trigger(channel.name, 'plain', { id: 2 });
    assert.deepEqual(await inbox.next(), { id: 2 });

    // toOthers(): the socket id goes to the server as the X-Socket-ID header.
    assert.match(echo.socketId(), /^\d+\.\d+$/);
    await api.trigger(channel.name, 'plain', { id: 3 }, { socket_id: echo.socketId() });
    await api.trigger(channel.name, 'plain', { id: 4 });
    assert.deepEqual(await inbox.next(), { id: 4 });

    echo.leave(channel.name);
    const next = echo.channel(`after-${broadcaster}`).listen('.plain', (data) => inbox.put(data));
    await subscribed(next);
    await api.trigger([channel.name, next.name], 'plain', { id: 5 });
    assert.deepEqual(await inbox.next(), { id: 5 });
    assert.deepEqual(inbox.rest(), []);
  });

  test(`${broadcaster}: private channel and whispers`, async (t) => {
    const api = rest();
    const inbox = new Inbox();
    const [ada, bob] = [open(t, broadcaster), open(t, broadcaster)];
    const name = `chat-${broadcaster}`;
    const hers = ada.private(name);
    const his = bob.private(name).listen('.message', (data) => inbox.put(data));
    his.listenForWhisper('typing', (data) => inbox.put(data));
    await Promise.all([subscribed(hers), subscribed(his)]);

    await api.trigger(`private-${name}`, 'message', { text: 'hello' });
    assert.deepEqual(await inbox.next(), { text: 'hello' });
    hers.whisper('typing', { name: 'Ada' });
    assert.deepEqual(await inbox.next(), { name: 'Ada' });
  });

  test(`${broadcaster}: encrypted channel`, async (t) => {
    const api = rest();
    const inbox = new Inbox();
    const echo = open(t, broadcaster);
    const channel = echo.encryptedPrivate(`safe-${broadcaster}`).listen('.message', (data) => inbox.put(data));
    await subscribed(channel);
    await api.trigger(channel.name, 'message', { text: 'sealed' });
    assert.deepEqual(await inbox.next(), { text: 'sealed' });
  });

  test(`${broadcaster}: here, joining, leaving`, async (t) => {
    const inbox = new Inbox();
    const name = `room-${broadcaster}`;
    const ada = open(t, broadcaster, { user_id: 1, user_info: { name: 'Ada' } });
    const hers = ada
      .join(name)
      .here((users) => inbox.put({ here: users }))
      .joining((user) => inbox.put({ joining: user }))
      .leaving((user) => inbox.put({ leaving: user }))
      .listenForWhisper('wave', (data) => inbox.put({ wave: data }));
    assert.deepEqual(await inbox.next(), { here: [{ name: 'Ada' }] });
    assert.equal(hers.name, `presence-${name}`);

    const bob = open(t, broadcaster, { user_id: 2, user_info: { name: 'Bob' } });
    const his = bob.join(name);
    const users = await new Promise((resolve) => his.here(resolve));
    assert.deepEqual(users.map((user) => user.name).sort(), ['Ada', 'Bob']);
    assert.deepEqual(await inbox.next(), { joining: { name: 'Bob' } });

    his.whisper('wave', { to: 'Ada' });
    assert.deepEqual(await inbox.next(), { wave: { to: 'Ada' } });
    bob.leave(name);
    assert.deepEqual(await inbox.next(), { leaving: { name: 'Bob' } });
  });
}
