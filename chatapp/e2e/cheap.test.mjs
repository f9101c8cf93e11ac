// What the page asks of the chat while messages come: next to nothing.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { World } from './lib/world.mjs';

let world, ada, bob, garden;

before(async () => {
  world = await World.start();
  ada = await (await world.person('Ada')).signUp();
  bob = await (await world.person('Bob')).signUp();
  await Promise.all([ada.live(), bob.live()]);
  ({ body: { room: garden } } = await world.api(ada, 'POST', '/api/rooms', { kind: 'open', name: 'Garden' }));
  await world.api(bob, 'POST', `/api/rooms/${garden.id}/join`, {});
  await bob.page.getByTestId('room-item').filter({ hasText: 'Garden' }).waitFor();
  await Promise.all([ada.settled(), bob.settled()]);
});

after(() => world?.stop());

async function post(room, count, prefix) {
  for (let i = 1; i <= count; i++) {
    const { status } = await world.api(ada, 'POST', `/api/rooms/${room}/messages`, { clientId: `${prefix}-${i}`, text: `${prefix} ${i}.` });
    assert.equal(status, 201);
  }
}

test('messages in another room are counted without a request', async () => {
  const asked = bob.requests();
  await post(garden.id, 20, 'Beans');
  const unread = bob.page.getByTestId('room-item').filter({ hasText: 'Garden' }).getByTestId('unread');
  await unread.filter({ hasText: '20' }).waitFor();
  await bob.settled();
  assert.deepEqual(asked, []);
});

test('a hidden page asks for nothing until it is seen', async () => {
  const general = await world.general(bob);
  await bob.hide();
  const asked = bob.requests();
  await post(general, 20, 'Hidden');
  await bob.sees('Hidden 20.');
  await bob.page.waitForFunction(() => document.title.startsWith('('));
  await bob.settled();
  assert.deepEqual(asked, []);
  await bob.show();
  await bob.page.getByTestId('room-item').filter({ hasText: 'general' }).getByTestId('unread').waitFor({ state: 'detached' });
  await bob.settled();
  assert.deepEqual(asked, [`POST /api/rooms/${general}/read`]);
});

test("one's own message is one request", async () => {
  await ada.settled();
  const asked = ada.requests();
  await ada.send('Just one');
  await bob.sees('Just one');
  await ada.settled();
  assert.deepEqual(asked, [`POST /api/rooms/${await world.general(ada)}/messages`]);
});
