// The page says what is so: about its connection, its user, who is there, who may
// what, and which room is open.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { World } from './lib/world.mjs';

// people starts an installation with these people in it, all live.
async function people(t, names, settings) {
  const world = await World.start(settings);
  t.after(() => world.stop());
  const all = [];
  for (const name of names) all.push(await (await world.person(name)).signUp());
  return [world, ...all];
}

test('a full presence channel is shown, and the room is polled', async (t) => {
  const [, ada, bob, cyd] = await people(t, ['Ada', 'Bob', 'Cyd'], { channels: { CHANNELS_APP_MAX_PRESENCE_MEMBERS: '2' } });
  await Promise.all([ada.live(), bob.live(), cyd.connection('polling')]);
  await cyd.page.getByTestId('offline-banner').filter({ hasText: 'no place' }).waitFor();
  await cyd.settled('GET /api/rooms');
  const asked = cyd.requests();
  await ada.send('Also for the third');
  await cyd.sees('Also for the third', { timeout: 6_000 });
  assert.ok(!asked.includes('GET /api/rooms'), 'the list was fetched, though its news come');
  await cyd.send('The third answers');
  await ada.sees('The third answers');
});

test('another account in the same browser is noticed at once', async (t) => {
  const world = await World.start();
  t.after(() => world.stop());
  const ada = await world.person('Ada');
  const other = await ada.context.newPage();
  await other.goto(world.url);
  await other.getByTestId('auth-form').waitFor();
  await ada.signUp();
  await ada.live();
  await other.getByTestId('name').fill('Bob');
  await other.getByTestId('password').fill('correct horse');
  await other.getByTestId('submit-auth').click();
  await other.getByTestId('composer').waitFor();
  // Ada's tab is Bob's now, and says so.
  await ada.page.getByTestId('notice').filter({ hasText: 'You are Bob here now' }).waitFor();
  await ada.page.locator('.self-name').filter({ hasText: 'Bob' }).waitFor();
});

test('nothing is posted as somebody else, and it is not lost', async (t) => {
  const world = await World.start();
  t.after(() => world.stop());
  const ada = await world.person('Ada');
  await ada.context.addInitScript(() => { delete window.BroadcastChannel; });
  await ada.signUp();
  await ada.live();
  // Her page asks for nothing before she has written, else it would notice already.
  let written;
  const hasWritten = new Promise((resolve) => { written = resolve; });
  await ada.page.route('**/api/**', async (route) => {
    if (!route.request().url().endsWith('/messages') || route.request().method() !== 'POST') await hasWritten;
    await route.continue();
  });
  const signUp = await ada.context.request.post(`${world.url}/api/signup`, { data: { name: 'Bob', password: 'correct horse' } });
  assert.equal(signUp.status(), 201);
  const refused = ada.page.waitForResponse((response) => response.status() === 409);
  await ada.send('Written by Ada');
  await refused;
  written();
  await ada.page.locator('.self-name').filter({ hasText: 'Bob' }).waitFor();
  const page = await world.api(ada, 'GET', `/api/rooms/${await world.general(ada)}/messages`);
  assert.deepEqual(page.body.messages, []);
  // It is there when she is back.
  const signIn = await ada.context.request.post(`${world.url}/api/signin`, { data: { name: 'Ada', password: 'correct horse' } });
  assert.equal(signIn.status(), 200);
  await ada.page.reload();
  await ada.page.locator('[data-testid=message][data-state=sent]').filter({ hasText: 'Written by Ada' }).waitFor();
});

test('a server that hangs is noticed within ten seconds', async (t) => {
  const [world, ada, bob] = await people(t, ['Ada', 'Bob']);
  await Promise.all([ada.live(), bob.live()]);
  const before = Date.now();
  world.signal('channels', 'SIGSTOP');
  await bob.connection('connecting');
  const took = Date.now() - before;
  await bob.connection('polling');
  world.signal('channels', 'SIGCONT');
  await bob.live();
  // The machine of a test may be busy: the page's own clock has nine seconds.
  assert.ok(took < 14_000, `it took ${took} ms`);
  await ada.send('Back again');
  await bob.sees('Back again');
});

test('online is right for somebody who came before, and for a newcomer', async (t) => {
  const [, ada, bob] = await people(t, ['Ada', 'Bob']);
  const online = (who, name, is) =>
    who.page.locator(`[data-testid=person][data-online=${is}]`).filter({ hasText: name }).waitFor();
  await Promise.all([online(ada, 'Bob', true), online(bob, 'Ada', true)]);
  await bob.page.close();
  await online(ada, 'Bob', false);
});

test('a role changes while one looks at it', async (t) => {
  const [world, ada, bob, cyd] = await people(t, ['Ada', 'Bob', 'Cyd']);
  const { body: { room } } = await world.api(bob, 'POST', '/api/rooms', { kind: 'open', name: 'Garden' });
  for (const who of [cyd, ada]) await world.api(who, 'POST', `/api/rooms/${room.id}/join`, {});
  await Promise.all([cyd.openRoom('Garden'), ada.openRoom('Garden')]);
  const remove = cyd.page.getByRole('button', { name: 'Remove Ada' });
  await cyd.page.getByTestId('person').filter({ hasText: 'Ada' }).waitFor();
  assert.equal(await remove.count(), 0);
  await world.api(bob, 'POST', `/api/rooms/${room.id}/leave`, {});
  await remove.waitFor({ state: 'attached' });
  // And removing somebody is asked about first.
  await cyd.page.getByTestId('person').filter({ hasText: 'Ada' }).hover();
  await remove.click();
  await cyd.page.getByTestId('confirm').click();
  await ada.page.getByTestId('room-item').filter({ hasText: 'Garden' }).waitFor({ state: 'detached' });
});

test('the address and the room agree, also when one turns back on the way', async (t) => {
  const [world, ada, bob] = await people(t, ['Ada', 'Bob']);
  const { body: { room } } = await world.api(bob, 'POST', '/api/rooms', { kind: 'open', name: 'Slow' });
  let answer;
  await ada.page.route(`**/api/rooms/${room.id}`, async (route) => {
    await new Promise((resolve) => { answer = resolve; });
    await route.continue();
  });
  await ada.page.evaluate((id) => {
    history.pushState(null, '', `/rooms/${id}`);
    dispatchEvent(new PopStateEvent('popstate'));
  }, room.id);
  await ada.page.waitForFunction(() => location.pathname.startsWith('/rooms/'));
  while (!answer) await new Promise((resolve) => setTimeout(resolve, 20));
  await ada.page.goBack();
  const answered = ada.page.waitForResponse(`**/api/rooms/${room.id}`);
  answer();
  await answered;
  await ada.send('In the general room');
  await bob.sees('In the general room');
  assert.equal(await ada.page.locator('.room-head h1').innerText().then((text) => text.includes('Slow')), false);
});

test('a room whose channel gets a new name goes on without a gap', async (t) => {
  const [world, ada, bob, cyd] = await people(t, ['Ada', 'Bob', 'Cyd']);
  const { body: { room } } = await world.api(ada, 'POST', '/api/rooms', { kind: 'closed', name: 'Council' });
  for (const name of ['Bob', 'Cyd']) await world.api(ada, 'POST', `/api/rooms/${room.id}/members`, { addName: name });
  for (const who of [ada, bob, cyd]) await who.openRoom('Council');
  await Promise.all([ada, bob, cyd].map((who) => who.live()));
  const { body } = await world.api(ada, 'GET', `/api/rooms/${room.id}`);
  const { user } = body.members.find((member) => member.user.name === 'Cyd');
  const said = [];
  for (let i = 0; i < 10; i++) {
    said.push(`Counted ${i}.`);
    await ada.send(`Counted ${i}.`);
    if (i === 3) await world.api(ada, 'POST', `/api/rooms/${room.id}/members`, { remove: user.id });
  }
  await bob.sees('Counted 9.');
  await bob.live();
  for (const who of [ada, bob]) {
    assert.deepEqual((await who.texts()).flatMap((text) => text.match(/Counted \d\./g) ?? []), said, who.name);
  }
  const after = await world.api(ada, 'GET', `/api/rooms/${room.id}`);
  assert.notEqual(after.body.room.channel, room.channel);
});
