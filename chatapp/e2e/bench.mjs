// How long a message takes from the click in one browser to the frame in which
// the other has it. MESSAGES of them, PER_SECOND; DATABASE_URL for PostgreSQL.
import { World } from './lib/world.mjs';

const count = Number(process.env.MESSAGES ?? 500);
const pause = 1000 / Number(process.env.PER_SECOND ?? 2);

const world = await World.start({ chat: { DATABASE_URL: process.env.DATABASE_URL ?? '' } });
const wall = 'performance.timeOrigin + performance.now()';

// Notes when an event comes over the socket, and when an answer comes.
const notes = `
  window.noted = { event: {}, answer: {}, frame: {} };
  const now = () => ${wall};
  const id = (text) => /sample (\\d+)!/.exec(text)?.[1];
  const Plain = WebSocket;
  window.WebSocket = class extends Plain {
    constructor(...all) {
      super(...all);
      this.addEventListener('message', ({ data }) => {
        if (data.includes('new-message') && id(data)) noted.event[id(data)] ??= now();
      });
    }
  };
  const plain = window.fetch;
  window.fetch = async (...all) => {
    const response = await plain(...all);
    const sent = id(String(all[1]?.body));
    if (sent) noted.answer[sent] = now();
    return response;
  };
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) for (const node of addedNodes) {
      const got = id(node.textContent ?? '');
      if (got && !(got in noted.frame)) {
        noted.frame[got] = 0;
        requestAnimationFrame(() => { noted.frame[got] = now(); });
      }
    }
  }).observe(document, { childList: true, subtree: true });
`;

try {
  const ada = await world.person('Ada');
  const bob = await world.person('Bob');
  for (const person of [ada, bob]) {
    await person.context.addInitScript(notes);
    await person.signUp();
    await person.live();
  }
  const clicks = {};
  await ada.page.exposeFunction('clicked', (id, at) => { clicks[id] = at; });
  await ada.page.evaluate(() => {
    document.addEventListener('click', (e) => {
      const id = /sample (\d+)!/.exec(document.querySelector('[data-testid=composer]').value)?.[1];
      if (id) window.clicked(id, performance.timeOrigin + e.timeStamp);
    }, true);
  });
  for (let i = 0; i < count; i++) {
    const next = Date.now() + pause;
    await ada.page.getByTestId('composer').fill(`sample ${i}!`);
    await ada.page.getByTestId('send').click();
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - Date.now())));
  }
  await bob.sees(`sample ${count - 1}!`);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const [here, there] = [await ada.page.evaluate(() => noted), await bob.page.evaluate(() => noted)];
  const stages = {
    'click → answer': (i) => here.answer[i] - clicks[i],
    'click → event in the other browser': (i) => there.event[i] - clicks[i],
    'event → frame': (i) => there.frame[i] - there.event[i],
    'click → frame in the other browser': (i) => there.frame[i] - clicks[i],
  };
  for (const [name, took] of Object.entries(stages)) {
    const all = [...Array(count).keys()].map(took).filter(Number.isFinite).sort((a, b) => a - b);
    const at = (q) => all[Math.min(all.length - 1, Math.floor(q * all.length))].toFixed(1);
    console.log(`| ${name} | ${at(0.5)} | ${at(0.95)} | ${at(0.99)} | ${at(1)} | ${all.length} |`);
  }
} finally {
  await world.stop();
}
