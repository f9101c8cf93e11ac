import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';

import { launchBrowser } from './browser.mjs';
import * as settings from './settings.mjs';
import { startSite } from './site.mjs';

const sockjsClient = fileURLToPath(new URL('../node_modules/sockjs-client/dist/sockjs.min.js', import.meta.url));

// usePages starts a browser and a customer's site for a file of tests, and gives
// functions for its pages.
export function usePages() {
  let browser, site;

  before(async () => {
    site = await startSite();
    browser = await launchBrowser();
  });

  after(async () => {
    await browser?.close();
    await site?.close();
  });

  return {
    // open gives a page as far as its scripts are loaded. What it throws fails its
    // test.
    async open(t, path = '/') {
      const context = await browser.newContext({ ignoreHTTPSErrors: true });
      // pusher-js loads SockJS's client from its own site.
      await context.route(/\/\/js\.pusher\.com\/.*sockjs/, (route) => route.fulfill({ path: sockjsClient }));
      const page = await context.newPage();
      const errors = [];
      page.on('pageerror', (error) => errors.push(error));
      t.after(async () => {
        await context.close();
        assert.deepEqual(errors, []);
      });
      await page.goto(site.origin + path);
      await page.waitForFunction(() => globalThis.kit);
      return page;
    },
    join: (page, name) => page.evaluate((name) => kit.join(name), name),
    next: (page, name) => page.evaluate((name) => kit.next(name), name),
  };
}

// connect opens window.pusher in the page and gives its socket id.
export function connect(page, options = {}) {
  const { host, port, key } = settings;
  return page.evaluate((options) => kit.connect(options), { host, port, key, ...options });
}
