// A page whose connection breaks for a moment: where the server keeps what was missed, it is
// brought by the server, and the chat is asked for nothing but signatures.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { World } from './lib/world.mjs';

// breakable gives a function that breaks the page's connection and keeps it broken until a
// promise is resolved.
async function breakable(person) {
  let held = Promise.resolve();
  let socket;
  await person.page.routeWebSocket(/\/app\//, async (page) => {
    await held;
    const server = page.connectToServer();
    socket = { page, server };
  });
  return (until) => {
    held = until;
    socket.server.close();
    socket.page.close({ code: 1001 });
  };
}

async function outage(t, settings) {
  const world = await World.start(settings);
  t.after(() => world.stop());
  const ada = await (await world.person('Ada')).signUp();
  const bob = await world.person('Bob');
  const breaks = await breakable(bob);
  await bob.signUp();
  await Promise.all([ada.live(), bob.live()]);
  const general = await world.general(bob);
  await Promise.all([ada.settled(), bob.settled()]);

  const asked = bob.requests();
  let release;
  breaks(new Promise((resolve) => { release = resolve; }));
  for (let i = 1; i <= 5; i++) {
    const { status } = await world.api(ada, 'POST', `/api/rooms/${general}/messages`, { clientId: `away-${i}`, text: `Away ${i}.` });
    assert.equal(status, 201);
  }
  await bob.connection('connecting');
  release();
  await bob.sees('Away 5.');
  await bob.live();
  await bob.settled();
  await new Promise((resolve) => setTimeout(resolve, 3000)); // for what would be asked later
  const order = (await bob.texts()).flatMap((text) => text.match(/Away \d/g) ?? []);
  assert.deepEqual(order, [1, 2, 3, 4, 5].map((i) => `Away ${i}`));
  return asked.filter((request) => !request.includes('/api/pusher/') && !request.includes('/read'));
}

test('what was missed is brought by the server', async (t) => {
  const asked = await outage(t, {
    channels: { CHANNELS_APP_RESUME: '2m', CHANNELS_APP_HISTORY_EVENTS: '200', CHANNELS_APP_PRESENCE_GRACE: '10s' },
    chat: { PUSHER_RESUME: 'true' },
  });
  assert.deepEqual(asked, []);
});

test('without that the chat is asked', async (t) => {
  const asked = await outage(t, {});
  assert.ok(asked.some((request) => request.includes('/changes')), `asked ${asked}`);
  assert.ok(asked.length >= 3, `asked ${asked}`);
});
