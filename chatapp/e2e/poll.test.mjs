// The old way: every browser asks every two seconds.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { World } from './lib/world.mjs';

test('with polling everything arrives, once, and no socket is opened', async (t) => {
  const world = await World.start({ chat: { CHAT_TRANSPORT: 'poll' } });
  t.after(() => world.stop());
  const ada = await world.person('Ada');
  const sockets = [];
  ada.page.on('websocket', (socket) => sockets.push(socket.url()));
  await ada.signUp();
  const bob = await (await world.person('Bob')).signUp();
  await ada.connection('polling');
  await ada.send('Without a socket');
  await bob.sees('Without a socket', { timeout: 6000 });
  await bob.send('Neither have I');
  await ada.sees('Neither have I', { timeout: 6000 });
  assert.equal(await ada.message('Without a socket').count(), 1);
  assert.equal(await ada.page.getByTestId('offline-banner').count(), 0);
  assert.deepEqual(sockets, []);
});
