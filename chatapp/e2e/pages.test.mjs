// How it looks and is used: a phone, the keyboard alone, the dark.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { World } from './lib/world.mjs';

// With CHAT_SCREENSHOTS the pictures of the documents are made anew.
const pictures = process.env.CHAT_SCREENSHOTS;

let world, ada, bob;

before(async () => {
  world = await World.start();
  ada = await (await world.person('Ada')).signUp();
  bob = await (await world.person('Bob')).signUp();
  await Promise.all([ada.live(), bob.live()]);
  for (const [who, text] of [
    [ada, 'Good morning! The new server is running.'],
    [ada, 'It answers in about two milliseconds here.'],
    [bob, 'Nice. I see your messages before I can blink.'],
    [bob, 'The notes are at https://example.com/notes'],
    [ada, 'Thank you! I will read them on the train.'],
  ]) {
    await who.send(text);
    await (who === ada ? bob : ada).sees(text);
  }
});

after(() => world?.stop());

async function picture(page, name) {
  if (!pictures) return;
  await mkdir(pictures, { recursive: true });
  await page.screenshot({ path: path.join(pictures, `${name}.png`) });
}

// fits makes sure that nothing has to be scrolled sideways.
async function fits(page) {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= window, `the page is ${content} wide, the window ${window}`);
}

test('on a desktop', async () => {
  await fits(ada.page);
  await picture(ada.page, 'chat-desktop');
  const link = ada.page.locator('[data-testid=message] a').first();
  assert.match(await link.getAttribute('rel'), /noopener/);
});

for (const [name, options] of [
  ['chat-phone', { viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true }],
  ['chat-dark', { colorScheme: 'dark' }],
]) {
  test(name, async () => {
    const cyd = await (await world.person(`Cyd on ${name}`, options)).signUp();
    await cyd.live();
    await cyd.sees('on the train');
    await fits(cyd.page);
    await cyd.send(`Greetings from ${name}`);
    await ada.sees(`Greetings from ${name}`);
    await picture(cyd.page, name);
    await cyd.context.close();
  });
}

test('with the keyboard alone', async () => {
  const dan = await world.person('Dan');
  await dan.page.goto(world.url);
  await dan.page.getByTestId('name').waitFor();
  const { keyboard } = dan.page;
  await keyboard.type('Dan');
  await keyboard.press('Tab');
  await keyboard.type('correct horse');
  await keyboard.press('Enter');
  await dan.page.getByTestId('composer').waitFor();
  await dan.page.waitForFunction(() => document.activeElement?.dataset.testid === 'composer');
  await keyboard.type('No mouse was used');
  await keyboard.press('Enter');
  await ada.sees('No mouse was used');
  // Everything that can be done with a mouse can be reached.
  const reached = new Set();
  for (let i = 0; i < 60; i++) {
    await keyboard.press('Tab');
    reached.add(await dan.page.evaluate(() => document.activeElement?.closest('[data-testid]')?.dataset.testid));
  }
  assert.ok(reached.has('room-item') || reached.has('room-list'), [...reached].join());
  await dan.context.close();
});

test('no answer carries what a page must not do', async () => {
  const response = await ada.context.request.get(world.url);
  const policy = response.headers()['content-security-policy'];
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe/);
});

test('a composer that is composing does not send', async () => {
  await ada.page.getByTestId('composer').fill('');
  await ada.page.getByTestId('composer').evaluate((box) => {
    box.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', isComposing: true, bubbles: true }));
  });
  await ada.send('After composing');
  await bob.sees('After composing');
});
