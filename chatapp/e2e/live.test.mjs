// Two and three people in their own browsers, with everything working.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { World } from './lib/world.mjs';

let world, ada, bob;

before(async () => {
  world = await World.start();
  ada = await (await world.person('Ada')).signUp();
  bob = await (await world.person('Bob')).signUp();
  await Promise.all([ada.live(), bob.live()]);
});

after(async () => {
  for (const person of world?.people ?? []) assert.deepEqual(person.errors, [], person.name);
  await world?.stop();
});

test('a message arrives at the other, once', async () => {
  await ada.send('Hello from Ada');
  await bob.sees('Hello from Ada');
  await bob.send('Hello from Bob');
  await ada.sees('Hello from Bob');
  for (const person of [ada, bob]) {
    assert.equal(await person.message('Hello from Ada').count(), 1, person.name);
    assert.equal(await person.message('Hello from Bob').count(), 1, person.name);
  }
  const state = await ada.message('Hello from Ada').getAttribute('data-state');
  assert.equal(state, 'sent');
});

test('many messages from both at once come once, in one order', async () => {
  const say = async (person) => {
    for (let i = 0; i < 15; i++) await person.send(`${person.name} counts ${i}.`);
  };
  await Promise.all([say(ada), say(bob)]);
  for (const person of [ada, bob]) {
    await Promise.all([person.sees('Ada counts 14.'), person.sees('Bob counts 14.')]);
    await person.page.locator('[data-testid=message]:not([data-state=sent])').waitFor({ state: 'detached' });
  }
  const counted = async (person) =>
    (await person.texts()).flatMap((text) => text.match(/(Ada|Bob) counts \d+\./g) ?? []);
  const [atAda, atBob] = [await counted(ada), await counted(bob)];
  assert.equal(atAda.length, 30);
  assert.equal(new Set(atAda).size, 30);
  assert.deepEqual(atBob, atAda);
});

test('typing is shown to the other, not to oneself, and goes away', async () => {
  await ada.page.getByTestId('composer').pressSequentially('thinking', { delay: 20 });
  const shown = bob.page.getByTestId('typing').filter({ hasText: 'Ada' });
  await shown.waitFor();
  assert.equal(await ada.page.getByTestId('typing').filter({ hasText: 'Ada' }).count(), 0);
  await shown.waitFor({ state: 'hidden', timeout: 12_000 });
  await ada.page.getByTestId('composer').fill('');
});

test('receipts name who has read', async () => {
  await ada.send('Who reads this?');
  await bob.sees('Who reads this?');
  await ada.page.getByTestId('receipts').filter({ hasText: 'Bob' }).first().waitFor();
});

test('edits and deletions travel', async () => {
  await ada.send('A tpyo');
  await bob.sees('A tpyo');
  await ada.page.getByTestId('composer').press('ArrowUp');
  const edit = ada.page.getByTestId('edit');
  await edit.fill('A typo');
  await edit.press('Enter');
  await bob.sees('A typo');
  assert.equal(await bob.message('A tpyo').count(), 0);
  const rooms = await world.api(ada, 'GET', '/api/rooms');
  const page = await world.api(ada, 'GET', `/api/rooms/${rooms.body.rooms[0].id}/messages`);
  const { id } = page.body.messages.find((m) => m.text === 'A typo');
  assert.equal((await world.api(ada, 'DELETE', `/api/rooms/${rooms.body.rooms[0].id}/messages/${id}`)).status, 200);
  await bob.message('A typo').waitFor({ state: 'detached' });
});

test('presence counts people, not tabs', async () => {
  const person = (who, name) =>
    who.page.getByTestId('person').filter({ hasText: name });
  const here = (name) => ada.page.locator('[data-testid=person][data-here=true]').filter({ hasText: name });
  await here('Bob').waitFor();
  const first = await bob.tab();
  await bob.page.close();
  bob.look(first);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  assert.equal(await here('Bob').count(), 1, 'Bob has another tab');
  assert.equal(await person(ada, 'Bob').count(), 1);
});

test('unread counts, over tabs', async () => {
  const { body } = await world.api(ada, 'POST', '/api/rooms', { kind: 'open', name: 'Garden' });
  await world.api(bob, 'POST', `/api/rooms/${body.room.id}/join`, {});
  const item = bob.page.getByTestId('room-item').filter({ hasText: 'Garden' });
  await item.waitFor();
  const unread = item.getByTestId('unread');
  await world.api(ada, 'POST', `/api/rooms/${body.room.id}/messages`, { clientId: 'garden-1', text: 'Tomatoes' });
  await unread.filter({ hasText: '1' }).waitFor();
  const first = await bob.tab();
  await bob.openRoom('Garden');
  await bob.sees('Tomatoes');
  await unread.waitFor({ state: 'hidden' });
  await bob.page.close();
  bob.look(first);
});

test('a script in every text field stays text', async () => {
  const script = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>';
  await ada.send(script);
  await bob.sees('onerror');
  const eve = await (await world.person('<b>Eve</b><script>hacked=1</script>')).signUp();
  await eve.send('I am here');
  await ada.sees('I am here');
  for (const person of [ada, bob, eve]) {
    assert.equal(await person.page.evaluate(() => window.hacked), undefined, person.name);
  }
  assert.equal(await bob.page.locator('[data-testid=message] img').count(), 0);
  await eve.context.close();
});

test('a third person sees what was said before', async () => {
  const cyd = await (await world.person('Cyd')).signUp();
  await cyd.sees('Who reads this?');
  await ada.send('Welcome, Cyd');
  await cyd.sees('Welcome, Cyd');
  await cyd.context.close();
});
