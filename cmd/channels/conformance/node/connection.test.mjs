// The life of a connection as pusher-js sees it.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { connected, fence, joined, open, rest } from './lib/clients.mjs';
import { happens } from './lib/inbox.mjs';
import { startServer } from './lib/server.mjs';

test('an unknown key ends in disconnected, with 4001', async (t) => {
  const pusher = open(t, { key: 'nobody' });
  const states = [];
  pusher.connection.bind('state_change', ({ current }) => states.push(current));
  const disconnected = happens(pusher.connection, 'disconnected');
  const { type, error } = await happens(pusher.connection, 'error');
  assert.equal(type, 'WebSocketError');
  assert.deepEqual(error, {
    type: 'PusherError',
    data: { code: 4001, message: 'App key nobody not in this cluster. Did you forget to specify the cluster?' },
  });
  await disconnected;
  assert.equal(pusher.connection.state, 'disconnected');
  assert.deepEqual(states.filter((state) => state === 'connected'), []);
});

test('socket ids are unique and of the form that SDKs sign', async (t) => {
  const clients = await Promise.all(Array.from({ length: 20 }, () => connected(t)));
  const ids = clients.map(({ connection }) => connection.socket_id);
  assert.equal(new Set(ids).size, 20);
  for (const id of ids) assert.match(id, /^\d+\.\d+$/);
});

test('a ping is answered', async (t) => {
  const pusher = await connected(t, { activityTimeout: 100, pongTimeout: 15_000 });
  const id = pusher.connection.socket_id;
  for (let i = 0; i < 3; i++) assert.equal((await pusher.wire.next('a pong')).event, 'pusher:pong');
  assert.equal(pusher.connection.socket_id, id);
});

test('pusher-js is back after 4200, with its subscriptions', async (t) => {
  const server = await startServer(t);
  const api = rest({ port: server.port });
  const pusher = await connected(t, { wsPort: server.port, member: { user_id: 'ada' } });
  const names = ['public', 'private-room', 'private-encrypted-room', 'presence-room'];
  const channels = [];
  for (const name of names) channels.push(await joined(pusher, name));
  for (const channel of channels) await fence(assert, api, channel);

  const before = pusher.connection.socket_id;
  const errors = [];
  pusher.connection.bind('error', (error) => errors.push(error));
  const away = happens(pusher.connection, 'state_change', ({ previous }) => previous === 'connected');
  const acknowledged = names.map((name) => happens(pusher.channel(name), 'pusher:subscription_succeeded'));
  const back = happens(pusher.connection, 'connected');

  const stopped = server.terminate();
  assert.equal((await away).current, 'connecting', 'the client gave up');
  const codes = errors.map((error) => (error.error ?? error).data?.code);
  assert.ok(codes.includes(4200), `the client was told ${JSON.stringify(errors)}, want 4200`);
  await stopped;

  const successor = await startServer(t, { listen: server.address });
  await back;
  await Promise.all(acknowledged);
  assert.notEqual(pusher.connection.socket_id, before);
  for (const channel of channels) await fence(assert, api, channel);

  pusher.disconnect();
  await successor.terminate();
});
