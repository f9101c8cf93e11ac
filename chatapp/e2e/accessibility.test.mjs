// The rules of WCAG 2, levels A and AA, as far as a program can check them: every
// page and dialog, in the light and in the dark, on a desktop and on a phone.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import axe from 'axe-core';

import { World } from './lib/world.mjs';

const levels = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'];
const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

let world, ada, bob, room;

before(async () => {
  world = await World.start();
  ada = await (await world.person('Ada')).signUp();
  bob = await (await world.person('Bob')).signUp();
  await Promise.all([ada.live(), bob.live()]);
  ({ body: { room } } = await world.api(ada, 'POST', '/api/rooms', { kind: 'closed', name: 'Council' }));
  await world.api(ada, 'POST', '/api/rooms', { kind: 'open', name: 'Garden' });
  await world.api(bob, 'POST', '/api/rooms', { kind: 'open', name: 'Kitchen' });
  await world.api(ada, 'POST', `/api/rooms/${room.id}/members`, { addName: 'Bob' });
  for (const who of [ada, bob]) await who.openRoom('Council');
  for (const [who, text] of [[ada, 'Read https://example.com/notes'], [bob, 'I have'], [ada, 'Once again, and slowly']]) {
    await who.send(text);
    await (who === ada ? bob : ada).sees(text);
  }
  const { body: { messages } } = await world.api(ada, 'GET', `/api/rooms/${room.id}/messages`);
  const path = `/api/rooms/${room.id}/messages`;
  await world.api(ada, 'PATCH', `${path}/${messages[0].id}`, { text: 'Please read https://example.com/notes' });
  await world.api(bob, 'DELETE', `${path}/${messages[1].id}`);
});

after(() => world?.stop());

// violations are the rules that a page breaks, and where.
async function violations(page) {
  await page.evaluate(axe.source);
  const found = await page.evaluate((values) => window.axe.run(document, { runOnly: { type: 'tag', values } }), levels);
  assert.ok(found.passes.length > 5, 'hardly anything was checked');
  return found.violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html}: ${node.failureSummary}`));
}

const clean = async (page, where) => assert.deepEqual(await violations(page), [], where);

// visit signs in with another browser, and goes to the room that has everything.
async function visit(t, name, options) {
  const person = await world.person(name, { reducedMotion: 'reduce', ...options });
  t.after(() => person.context.close());
  await person.page.goto(world.url);
  await person.page.getByTestId('auth-form').waitFor();
  return person;
}

async function goToRoom(person) {
  await person.signIn();
  await person.page.goto(`${world.url}/rooms/${room.id}`);
  await person.live();
  await person.sees('This message was deleted');
}

// dialog opens one by its button, checks it, and closes it.
async function dialog(page, button) {
  await page.getByRole('button', { name: button, exact: true }).first().click();
  await page.locator('dialog[open]').waitFor();
  await clean(page, button);
  await page.keyboard.press('Escape');
  await page.locator('dialog[open]').waitFor({ state: 'detached' });
}

test('what is wrong is found', async (t) => {
  const { page } = await visit(t, 'Ada');
  await page.getByTestId('name').evaluate((field) => field.closest('label').replaceWith(field));
  assert.match((await violations(page)).join(), /label/);
});

for (const colorScheme of ['light', 'dark']) {
  test(`in the ${colorScheme}, on a desktop`, async (t) => {
    const person = await visit(t, 'Ada', { colorScheme });
    const { page } = person;
    await clean(page, 'the form');
    await page.getByTestId('name').fill('Ada');
    await page.getByTestId('password').fill('wrong horse');
    await page.getByTestId('submit-auth').click();
    await page.getByRole('alert').filter({ hasText: 'another password' }).waitFor();
    await clean(page, 'the form, refused');
    await goToRoom(person);
    await bob.page.getByTestId('composer').pressSequentially('typing');
    await page.getByTestId('typing').filter({ hasText: 'Bob' }).waitFor();
    await clean(page, 'the room');
    for (const button of ['New room', 'New direct message', 'Invite', 'Settings', 'Add people', 'Leave room']) await dialog(page, button);

    const own = person.message('Once again');
    await own.hover();
    await clean(page, 'a message under the mouse');
    await own.getByRole('button', { name: 'Delete message' }).click();
    await clean(page, 'the question before a deletion');
    await page.keyboard.press('Escape');
    await page.getByTestId('composer').press('ArrowUp');
    await page.getByTestId('edit').waitFor();
    await clean(page, 'a message being edited');
    await page.keyboard.press('Escape');
    await page.getByTestId('person').filter({ hasText: 'Bob' }).hover();
    await clean(page, 'a member under the mouse');
    await page.getByTestId('composer').fill('x'.repeat(4_100));
    await clean(page, 'a text that is too long');
    await page.getByTestId('composer').fill('');

    await page.route('**/api/rooms/*/messages', (route) => (route.request().method() === 'POST' ? route.abort() : route.continue()));
    await person.send('It waits');
    await person.unsent('waiting').waitFor();
    await clean(page, 'an unsent message');
    await page.getByRole('button', { name: 'Discard' }).click();
    await page.unroute('**/api/rooms/*/messages');
    await person.openRoom('general');
    await page.getByTestId('welcome').waitFor();
    await clean(page, 'the general room');
  });

  test(`in the ${colorScheme}, on a phone`, async (t) => {
    const person = await visit(t, 'Bob', { colorScheme, ...phone });
    const { page } = person;
    await clean(page, 'the form');
    await goToRoom(person);
    await clean(page, 'the room');
    for (const drawer of ['rooms', 'people']) {
      await page.getByRole('button', { name: `Show ${drawer}` }).tap();
      await page.locator(`[data-drawer=${drawer}]`).waitFor();
      await clean(page, `the drawer of ${drawer}`);
      await page.keyboard.press('Escape');
    }
  });
}

test('without a connection', async (t) => {
  const person = await visit(t, 'Bob');
  await goToRoom(person);
  await person.context.setOffline(true);
  await person.page.getByTestId('offline-banner').waitFor();
  await clean(person.page, 'the banner');
});
