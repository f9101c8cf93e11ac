// Parts of the installation die, and come back.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { World } from './lib/world.mjs';

let world, ada, bob;

beforeEach(async () => {
  world = await World.start();
  ada = await (await world.person('Ada')).signUp();
  bob = await (await world.person('Bob')).signUp();
  await Promise.all([ada.live(), bob.live()]);
});

afterEach(async () => {
  await world.stop();
});

async function once(person, text) {
  await person.sees(text, { timeout: 40_000 });
  assert.equal(await person.message(text).count(), 1, `${person.name}: ${text}`);
}

test('without the server polling takes over, and push returns without a reload', async () => {
  await bob.page.evaluate(() => { window.marked = true; });
  await world.kill('channels');
  await ada.send('Sent while it is down');
  await bob.connection('polling');
  await once(bob, 'Sent while it is down');
  await bob.page.getByTestId('offline-banner').waitFor();
  await world.startChannels();
  await Promise.all([ada.connection('live'), bob.connection('live')]);
  await bob.page.getByTestId('offline-banner').waitFor({ state: 'detached' });
  await ada.send('Sent when it is back');
  await once(bob, 'Sent when it is back');
  await once(bob, 'Sent while it is down');
  assert.equal(await bob.page.evaluate(() => window.marked), true, 'the page was reloaded');
});

test('a chat that dies between commit and trigger tells it when it is back', async () => {
  const sockets = [];
  bob.page.on('websocket', (socket) => sockets.push(socket.url()));
  world.signal('channels', 'SIGSTOP');
  const sent = await world.api(ada, 'POST', `/api/rooms/${await world.general(ada)}/messages`, {
    clientId: 'survivor', text: 'It was stored',
  });
  assert.equal(sent.status, 201);
  await world.kill('chat');
  world.signal('channels', 'SIGCONT');
  await world.startChat();
  const back = Date.now();
  await once(bob, 'It was stored');
  assert.ok(Date.now() - back < 2000, `it took ${Date.now() - back} ms`);
  assert.deepEqual(sockets, [], 'a socket was opened');
});

test('what is written while the chat is down is sent by itself, in order', async () => {
  await world.kill('chat');
  await ada.send('Written in the dark');
  await ada.send('And one more');
  await ada.unsent('waiting').first().waitFor();
  await world.startChat();
  await once(bob, 'And one more');
  await once(bob, 'Written in the dark');
  await ada.unsent('waiting').waitFor({ state: 'detached' });
  const order = (await bob.texts()).flatMap((text) => text.match(/Written in the dark|And one more/g) ?? []);
  assert.deepEqual(order, ['Written in the dark', 'And one more']);
  assert.equal(await ada.message('Written in the dark').count(), 1);
});

test('an answer that is lost is no second message', async () => {
  let lose = true;
  await ada.page.route('**/api/rooms/*/messages', async (route) => {
    if (route.request().method() === 'POST' && lose) {
      lose = false;
      await route.fetch(); // it is stored
      return route.abort();
    }
    return route.continue();
  });
  await ada.send('Stored, but not answered');
  await once(bob, 'Stored, but not answered');
  await ada.page.locator('[data-testid=message][data-state=sent]').filter({ hasText: 'Stored, but not answered' }).waitFor();
  for (const person of [ada, bob]) assert.equal(await person.message('Stored, but not answered').count(), 1, person.name);
});

test('the server restarts gracefully, and nothing is missed', async () => {
  await world.kill('channels', 'SIGTERM');
  await ada.send('Between two servers');
  await world.startChannels();
  await Promise.all([ada.connection('live'), bob.connection('live')]);
  await once(bob, 'Between two servers');
  await ada.send('After it');
  await once(bob, 'After it');
});
