// Who is removed hears nothing more: in the browser, and with a client of their
// own.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { WebSocket } from 'ws';

import { World } from './lib/world.mjs';

let world, ada, bob, room;

before(async () => {
  world = await World.start();
  ada = await (await world.person('Ada')).signUp();
  bob = await (await world.person('Bob')).signUp();
  await Promise.all([ada.live(), bob.live()]);
  ({ body: { room } } = await world.api(ada, 'POST', '/api/rooms', { kind: 'closed', name: 'Secret' }));
});

after(() => world?.stop());

const memberOf = (who, change) => world.api(who, 'POST', `/api/rooms/${room.id}/members`, change);

async function form(person, where, fields) {
  const response = await person.context.request.post(world.url + where, { form: fields });
  return { status: response.status(), body: JSON.parse(await response.text()) };
}

// raw is a client without pusher-js.
async function raw(person, { signIn }) {
  const socket = new WebSocket(`ws://127.0.0.1:${world.channelsPort}/app/app-key?protocol=7&client=raw&version=1`);
  const heard = [];
  const waiting = [];
  const closed = new Promise((resolve) => socket.addEventListener('close', ({ code }) => resolve(code)));
  socket.addEventListener('message', ({ data }) => {
    const event = JSON.parse(data);
    heard.push(event);
    waiting.splice(0).forEach((look) => look());
  });
  const next = async (...names) => {
    for (;;) {
      const found = heard.find((event) => names.includes(event.event));
      if (found) return found;
      await new Promise((resolve) => waiting.push(resolve));
    }
  };
  const send = (event, data) => socket.send(JSON.stringify({ event, data }));
  const { socket_id: id } = JSON.parse((await next('pusher:connection_established')).data);
  if (signIn) {
    const { body } = await form(person, '/api/pusher/user-auth', { socket_id: id });
    send('pusher:signin', body);
    await next('pusher:signin_success');
  }
  const { status, body } = await form(person, '/api/pusher/auth', { socket_id: id, channel_name: room.channel });
  if (status === 200) send('pusher:subscribe', { channel: room.channel, ...body });
  return { socket, heard, next, closed, status };
}

test('who is no member gets no signature, and not a word about the room', async () => {
  const there = await form(bob, '/api/pusher/auth', { socket_id: '1.2', channel_name: room.channel });
  const nowhere = await form(bob, '/api/pusher/auth', { socket_id: '1.2', channel_name: 'presence-chat-room-nosuch' });
  assert.equal(there.status, 403);
  assert.deepEqual(there, nowhere);
  const forged = await form(ada, '/api/pusher/auth', { socket_id: '1.2:private-x', channel_name: room.channel });
  assert.equal(forged.status, 400);
});

test('a client that never signs in cannot subscribe', async () => {
  await memberOf(ada, { addName: 'Bob' });
  const client = await raw(bob, { signIn: false });
  assert.equal(client.status, 200);
  const answer = await client.next('pusher_internal:subscription_succeeded', 'pusher:error', 'pusher:subscription_error');
  assert.notEqual(answer.event, 'pusher_internal:subscription_succeeded');
  client.socket.close();
});

test('removal ends every subscription', async () => {
  await bob.openRoom('Secret');
  await ada.openRoom('Secret');
  await ada.send('For members');
  await bob.sees('For members');
  const client = await raw(bob, { signIn: true });
  await client.next('pusher_internal:subscription_succeeded');

  const { body } = await world.api(ada, 'GET', `/api/rooms/${room.id}`);
  const { user } = body.members.find((m) => m.user.name === 'Bob');
  assert.equal((await memberOf(ada, { remove: user.id })).status, 200);
  assert.equal(await client.closed, 4009);
  await bob.page.getByTestId('room-item').filter({ hasText: 'Secret' }).waitFor({ state: 'detached' });
  await bob.live();
  await ada.send('Bob must not hear this');
  await ada.sees('Bob must not hear this');

  const again = await raw(bob, { signIn: true });
  assert.equal(again.status, 403);
  again.socket.close();
  // What is public is heard again, without a reload.
  await ada.openRoom('general');
  await bob.openRoom('general');
  await ada.send('For everybody');
  await bob.sees('For everybody');
  assert.equal(client.heard.some((event) => JSON.stringify(event).includes('must not hear')), false);
  assert.equal((await bob.page.content()).includes('must not hear'), false);
});

test('signing out everywhere ends the other tabs', async () => {
  const first = await bob.tab();
  assert.equal((await world.api(bob, 'POST', '/api/signout-everywhere', {})).status, 200);
  await bob.page.getByTestId('auth-form').waitFor();
  await first.getByTestId('auth-form').waitFor();
});
