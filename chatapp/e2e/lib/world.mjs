// World is a whole installation: a channels process and a chat process on free
// ports, with data of their own, and browsers that use them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const patience = 20_000;

// Ports that Linux gives to no outgoing connection by itself: a browser that looks
// for a server that is away would otherwise take the server's port now and then.
const ports = { from: 20_000, count: 12_000 };

// freePort finds a port that nobody uses, for a process that has to keep its port
// over a restart.
export async function freePort() {
  for (;;) {
    const port = ports.from + Math.floor(Math.random() * ports.count);
    const server = net.createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
    } catch {
      continue; // it is taken
    }
    server.close();
    await once(server, 'close');
    return port;
  }
}

export class World {
  #browser;
  #processes = {};
  people = [];

  static async start(settings = {}) {
    const world = new World();
    world.settings = settings;
    world.data = await mkdtemp(path.join(os.tmpdir(), 'chat-e2e-'));
    world.channelsPort = await freePort();
    world.chatPort = await freePort();
    await world.startChannels();
    await world.startChat();
    return world;
  }

  get url() {
    return `http://127.0.0.1:${this.chatPort}`;
  }

  // stop ends everything, browsers first.
  async stop() {
    await this.#browser?.close();
    await Promise.all(Object.keys(this.#processes).map((name) => this.kill(name)));
    await rm(this.data, { recursive: true, force: true });
  }

  startChannels() {
    return this.#start('channels', ['--listen', `127.0.0.1:${this.channelsPort}`, '--ops-listen', 'off'], {
      CHANNELS_APP_MAX_PRESENCE_MEMBERS: '1000',
      CHANNELS_SHUTDOWN_GRACE: '1s',
      ...this.settings.channels,
    });
  }

  startChat() {
    return this.#start('chat', [], {
      CHAT_LISTEN: `127.0.0.1:${this.chatPort}`,
      CHAT_DATA: this.data,
      PUSHER_HOST: '127.0.0.1',
      PUSHER_PORT: String(this.channelsPort),
      ...this.settings.chat,
    });
  }

  // #start waits for the first line of the log with the address, and keeps the log
  // for what goes wrong.
  async #start(name, args, env) {
    const child = spawn(path.join(root, 'bin', name), args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const started = { child, log: '', exited: once(child, 'exit') };
    this.#processes[name] = started;
    await new Promise((resolve, reject) => {
      child.stderr.setEncoding('utf8').on('data', (text) => {
        started.log += text;
        if (/listen=/.test(started.log)) resolve();
      });
      started.exited.then(() => reject(new Error(`${name} ended: ${started.log}`)));
      setTimeout(() => reject(new Error(`${name} did not start: ${started.log}`)), patience).unref();
    });
  }

  log(name) {
    return this.#processes[name].log;
  }

  // kill ends a process at once, as a crash does.
  async kill(name, signal = 'SIGKILL') {
    const { child, exited } = this.#processes[name];
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal);
      await exited;
    }
  }

  pid(name) {
    return this.#processes[name].child.pid;
  }

  signal(name, signal) {
    this.#processes[name].child.kill(signal);
  }

  // general gives the id of the room that everybody is in.
  async general(person) {
    return (await this.api(person, 'GET', '/api/me')).body.general;
  }

  // person opens a browser of their own: cookies are not shared.
  async person(name, options = {}) {
    this.#browser ??= await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
    });
    const context = await this.#browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    context.setDefaultTimeout(patience);
    const person = new Person(this, name, context, await context.newPage(), options.hasTouch);
    this.people.push(person);
    return person;
  }

  // api calls the chat as a program does.
  async api(person, method, where, body) {
    const response = await person.context.request.fetch(this.url + where, {
      method,
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      data: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status(), body: text && JSON.parse(text) };
  }
}

const kindOf = (request) => `${request.method()} ${new URL(request.url()).pathname}`;

// Person is one user in one browser, and what they can do.
export class Person {
  errors = [];
  #asked = new Map(); // when a request of each kind began or ended last; '' for all

  constructor(world, name, context, page, touch = false) {
    Object.assign(this, { world, name, context, touch });
    this.look(page);
  }

  look(page) {
    this.page = page;
    page.on('pageerror', (error) => this.errors.push(error));
    const note = (request) => ['', kindOf(request)].forEach((kind) => this.#asked.set(kind, Date.now()));
    for (const event of ['request', 'requestfinished', 'requestfailed']) page.on(event, note);
  }

  // settled waits until the page has made no request for a while: what a beginning
  // makes it ask has been asked. A kind is like "GET /api/rooms".
  async settled(kind = '') {
    const quiet = 1_500;
    const start = Date.now();
    for (let wait = quiet; wait > 0; wait = Math.max(start, this.#asked.get(kind) ?? 0) + quiet - Date.now()) {
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  // tab opens another tab of the same browser, and goes on in it.
  async tab() {
    const before = this.page;
    this.look(await this.context.newPage());
    await this.page.goto(this.world.url);
    await this.live();
    return before;
  }

  // hide makes the page one that nobody looks at, and show undoes it: the browser
  // of a test has no window to put in front of another.
  async hide(hidden = true) {
    await this.page.evaluate((now) => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => now });
      Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => (now ? 'hidden' : 'visible') });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
  }

  show() {
    return this.hide(false);
  }

  // requests collects what the page asks of the chat from now on, as "GET /api/rooms".
  requests() {
    const asked = [];
    this.page.on('request', (request) => {
      const kind = kindOf(request);
      if (kind.includes(' /api/')) asked.push(kind);
    });
    return asked;
  }

  // unsent finds the rows of messages that wait or were refused.
  unsent(state) {
    return this.page.locator(`[data-testid=message][data-state=${state}]`);
  }

  // signUp fills the one form.
  async signUp(password = 'correct horse') {
    await this.page.goto(this.world.url);
    return this.signIn(password);
  }

  async signIn(password = 'correct horse') {
    const form = this.page.getByTestId('auth-form');
    await form.waitFor();
    await this.page.getByTestId('name').fill(this.name);
    await this.page.getByTestId('password').fill(password);
    await this.page.getByTestId('submit-auth').click();
    await this.page.getByTestId('composer').waitFor();
    return this;
  }

  // live waits until events come over the socket.
  live() {
    return this.connection('live');
  }

  connection(state) {
    return this.page.locator(`[data-testid=connection][data-state=${state}]`).first().waitFor({ state: 'attached' });
  }

  async send(text) {
    await this.page.getByTestId('composer').fill(text);
    if (this.touch) await this.page.getByTestId('send').tap();
    else await this.page.getByTestId('composer').press('Enter');
  }

  message(text) {
    return this.page.getByTestId('message').filter({ hasText: text });
  }

  // sees waits for a message, and makes sure that it is there once.
  async sees(text, options) {
    await this.message(text).first().waitFor(options);
  }

  texts() {
    return this.page.getByTestId('message').allInnerTexts();
  }

  async openRoom(name) {
    await this.page.getByTestId('room-item').filter({ hasText: name }).first().click();
  }
}
