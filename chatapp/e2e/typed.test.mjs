// What somebody has typed is still there: after another room, a reload, a failure,
// the end of the session.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { World } from './lib/world.mjs';

let world, ada, bob;

before(async () => {
  world = await World.start();
  ada = await (await world.person('Ada')).signUp();
  bob = await (await world.person('Bob')).signUp();
  await Promise.all([ada.live(), bob.live()]);
  await world.api(ada, 'POST', '/api/rooms', { kind: 'open', name: 'Garden' });
  await ada.page.getByTestId('room-item').filter({ hasText: 'Garden' }).waitFor();
});

after(() => world?.stop());

const draft = async (text) => {
  await ada.page.waitForFunction((want) => document.querySelector('[data-testid=composer]')?.value === want, text);
};

test('a draft stays in its room, and over a reload', async () => {
  await ada.page.getByTestId('composer').fill('Half a thought');
  await ada.openRoom('Garden');
  await draft('');
  await ada.page.getByTestId('composer').fill('About tomatoes');
  await ada.openRoom('general');
  await draft('Half a thought');
  await ada.page.reload();
  await draft('Half a thought');
  await ada.openRoom('Garden');
  await draft('About tomatoes');
  await ada.openRoom('general');
  await ada.page.getByTestId('composer').press('Enter');
  await bob.sees('Half a thought');
  await ada.page.reload();
  await draft('');
});

test('what is typed survives a session that ends by itself', async () => {
  await ada.openRoom('Garden');
  await ada.page.getByTestId('composer').fill('A draft in the garden');
  await ada.openRoom('general');
  await ada.live();
  await ada.settled();
  await ada.context.clearCookies();
  await ada.send('Sent without a session');
  await ada.page.getByTestId('auth-form').waitFor();
  await ada.signIn();
  await bob.sees('Sent without a session');
  assert.equal(await bob.message('Sent without a session').count(), 1);
  await ada.openRoom('Garden');
  await draft('A draft in the garden');
  await ada.page.getByTestId('composer').fill('');
  await ada.openRoom('general');
});

test('an edit that cannot be saved stays open, also over a reload', async () => {
  await ada.send('A frist version');
  await bob.sees('A frist version');
  await ada.page.route('**/api/rooms/*/messages/*', (route) => (route.request().method() === 'PATCH' ? route.abort() : route.continue()));
  await ada.page.getByTestId('composer').press('ArrowUp');
  const edit = ada.page.getByTestId('edit');
  await edit.fill('A first version');
  await edit.press('Enter');
  await ada.page.getByTestId('edit-problem').waitFor();
  assert.equal(await edit.inputValue(), 'A first version');
  await ada.page.unroute('**/api/rooms/*/messages/*');
  await ada.page.reload();
  await edit.waitFor();
  assert.equal(await edit.inputValue(), 'A first version');
  await edit.press('Enter');
  await bob.sees('A first version');
  await edit.waitFor({ state: 'detached' });
});

test('what was written offline is sent when the network is back, in order and once', async () => {
  await ada.context.setOffline(true);
  for (const text of ['Offline one', 'Offline two', 'Offline three']) await ada.send(text);
  await ada.unsent('waiting').first().waitFor();
  await ada.context.setOffline(false);
  await bob.sees('Offline three');
  await ada.page.locator('[data-testid=message]:not([data-state=sent])').waitFor({ state: 'detached' });
  for (const who of [ada, bob]) {
    const texts = (await who.texts()).flatMap((text) => text.match(/Offline (one|two|three)/g) ?? []);
    assert.deepEqual(texts, ['Offline one', 'Offline two', 'Offline three'], who.name);
  }
});

test('an unsent message survives a reload, and is sent', async () => {
  await ada.page.route('**/api/rooms/*/messages', (route) => (route.request().method() === 'POST' ? route.abort() : route.continue()));
  await ada.send('Kept over the reload');
  await ada.unsent('waiting').first().waitFor();
  await ada.page.unroute('**/api/rooms/*/messages');
  await ada.page.reload();
  await bob.sees('Kept over the reload');
  assert.equal(await bob.message('Kept over the reload').count(), 1);
});

test('signing out on purpose leaves nothing behind', async () => {
  await ada.page.getByTestId('composer').fill('For nobody else');
  await ada.page.getByRole('button', { name: 'Settings' }).click();
  await ada.page.getByRole('button', { name: 'Sign out', exact: true }).click();
  await ada.page.getByTestId('auth-form').waitFor();
  const kept = await ada.page.evaluate(() => JSON.stringify(localStorage));
  assert.doesNotMatch(kept, /For nobody else/);
});

test('a browser that blocks storage has a chat all the same', async () => {
  const cyd = await world.person('Cyd');
  await cyd.context.addInitScript(() => {
    Object.defineProperty(window, 'localStorage', { get: () => { throw new DOMException('blocked', 'SecurityError'); } });
  });
  await cyd.signUp();
  await cyd.page.getByTestId('composer').fill('Still typed');
  await cyd.send('Stored by the server');
  await bob.sees('Stored by the server');
  assert.deepEqual(cyd.errors, []);
});
