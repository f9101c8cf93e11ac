// Where the focus is: it is never lost, and never behind something.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { World } from './lib/world.mjs';

let world, ada;

before(async () => {
  world = await World.start();
  ada = await (await world.person('Ada')).signUp();
  await ada.live();
  await world.api(ada, 'POST', '/api/rooms', { kind: 'open', name: 'Garden' });
});

after(() => world?.stop());

const focused = (page, selector) => page.waitForFunction((want) => document.activeElement?.matches(want), selector);

test('a dialog takes the focus to its first field, keeps it, and gives it back', async () => {
  const { page } = ada;
  const { keyboard } = page;
  for (const [button, field] of [['New room', '[data-testid=room-name]'], ['New direct message', '[data-testid=user-search]']]) {
    await page.getByRole('button', { name: button, exact: true }).focus();
    await keyboard.press('Enter');
    await focused(page, field);
    for (let i = 0; i < 6; i++) {
      await keyboard.press('Tab');
      const outside = await page.evaluate(() => document.activeElement !== document.body && document.activeElement.closest('dialog') === null);
      assert.equal(outside, false, 'the focus is behind the dialog');
    }
    await keyboard.press('Escape');
    await focused(page, `[aria-label="${button}"]`);
  }
});

test('a deleted message keeps the focus, a discarded one gives it to the composer', async () => {
  const { page } = ada;
  await ada.send('To be deleted');
  const message = ada.message('To be deleted');
  await page.locator('[data-testid=message][data-state=sent]').filter({ hasText: 'To be deleted' }).waitFor();
  await message.getByRole('button', { name: 'Delete message' }).focus();
  await page.keyboard.press('Enter');
  await focused(page, '[data-testid=confirm-delete]');
  await page.keyboard.press('Enter');
  await ada.message('This message was deleted').waitFor();
  await focused(page, '[data-testid=message]');

  await page.route('**/api/rooms/*/messages', (route) => (route.request().method() === 'POST' ? route.abort() : route.continue()));
  await ada.send('To be discarded');
  await ada.unsent('waiting').waitFor();
  await page.getByRole('button', { name: 'Discard' }).focus();
  await page.keyboard.press('Enter');
  await focused(page, '[data-testid=composer]');
  await page.unroute('**/api/rooms/*/messages');
});

test('the welcome gives the focus to the messages', async () => {
  const { page } = ada;
  await page.getByRole('button', { name: 'Hide the welcome' }).focus();
  await page.keyboard.press('Enter');
  await page.getByTestId('welcome').waitFor({ state: 'detached' });
  await focused(page, '[data-testid=timeline]');
});

test('on a phone a drawer takes the focus, and nothing behind it can be reached', async () => {
  const bob = await world.person('Bob', { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await bob.signUp();
  const { page } = bob;
  assert.equal(await page.evaluate(() => document.activeElement.dataset.testid), undefined, 'the keyboard of the phone comes out by itself');
  for (const drawer of ['rooms', 'people']) {
    await page.getByRole('button', { name: `Show ${drawer}` }).focus();
    await page.keyboard.press('Enter');
    await focused(page, `.${drawer}`);
    for (let i = 0; i < 12; i++) {
      await page.keyboard.press('Tab');
      assert.equal(await page.evaluate(() => document.activeElement.closest('main') === null), true, 'the focus is behind the drawer');
    }
    await page.keyboard.press('Escape');
    await focused(page, `[aria-label="Show ${drawer}"]`);
  }
  // A window that becomes wide shows columns, and everything can be used.
  await page.getByRole('button', { name: 'Show people' }).tap();
  await page.setViewportSize({ width: 1280, height: 844 });
  await page.locator('main:not([inert])').waitFor();
  await page.locator('[data-drawer=none]').waitFor();
  await bob.context.close();
});

test('with a finger Enter breaks the line, and the button sends', async () => {
  const cyd = await world.person('Cyd', { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await cyd.signUp();
  const composer = cyd.page.getByTestId('composer');
  await composer.tap();
  await cyd.page.keyboard.type('First line');
  await cyd.page.keyboard.press('Enter');
  await cyd.page.keyboard.type('second line');
  assert.equal(await composer.inputValue(), 'First line\nsecond line');
  await cyd.page.getByTestId('send').tap();
  await ada.sees('second line');
  await cyd.context.close();
});
