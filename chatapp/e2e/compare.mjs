// Polling and push, as the page does both: PEOPLE in one room (200), PER_SECOND
// messages in it (1), half of the people with another room open, for SECONDS (60).
// The people are the page's own code in Node (chatapp/web/bench). Build first:
//   make build && npm --prefix chatapp/web run people
import { readFile } from 'node:fs/promises';

import { Person } from '../web/bench/dist/people.js';
import { World } from './lib/world.mjs';

const people = Number(process.env.PEOPLE ?? 200);
const perSecond = Number(process.env.PER_SECOND ?? 1);
const seconds = Number(process.env.SECONDS ?? 60);
const ticksPerSecond = 100; // USER_HZ, which Linux has fixed for programs

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// busy is the processor time that a process has used, in seconds.
async function busy(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

// join lets them in a few at a time: each password takes its time.
async function join(world) {
  const all = [];
  for (let i = 0; i < people; i += 10) {
    all.push(...await Promise.all(Array.from({ length: Math.min(10, people - i) }, (_, j) =>
      Person.join(world.url, `Person ${i + j}`, `10.0.${(i + j) >> 8}.${(i + j) & 255}`))));
  }
  return all;
}

function count(all) {
  const kinds = new Map();
  for (const { counts } of all) {
    for (const [kind, n] of counts) kinds.set(kind, (kinds.get(kind) ?? 0) + n);
    counts.clear();
  }
  return kinds;
}

async function measure(transport) {
  const world = await World.start({ chat: { CHAT_TRANSPORT: transport, CHAT_PUBLIC_URL: 'http://127.0.0.1' } });
  let all = [];
  try {
    all = await join(world);
    const [writer] = all;
    const { general } = writer.chat.store.get();
    const elsewhere = await writer.chat.createRoom('open', 'Elsewhere');
    const half = Math.ceil(people / 2);
    await Promise.all(all.map(async (person, i) => {
      if (i >= half) await person.chat.join(elsewhere.id);
      await person.read(i < half ? general : elsewhere.id);
      await person.connection(transport === 'push' ? 'live' : 'polling');
    }));
    await pause(10_000); // what a beginning makes everybody ask has been asked
    count(all);
    const before = [await busy(world.pid('chat')), await busy(world.pid('channels'))];
    const start = Date.now();
    const total = Math.round(perSecond * seconds);
    for (let i = 0; i < total; i++) {
      void writer.chat.send(general, writer.chat.draft(`Message ${i}`));
      await pause(start + ((i + 1) * 1000) / perSecond - Date.now());
    }
    const took = (Date.now() - start) / 1000;
    const used = [await busy(world.pid('chat')), await busy(world.pid('channels'))];
    const kinds = count(all);
    await pause(5_000); // polling is two seconds behind
    const missed = all.filter((person, i) => (i < half ? i > 0 && person.has(general) !== total : person.unread(general) !== Math.min(100, total))).length;
    const requests = [...kinds.values()].reduce((sum, n) => sum + n, 0) * (60 / took);
    const cpu = used.map((value, i) => `${(((value - before[i]) / took) * 100).toFixed(1)} %`);
    console.log(`| ${transport} | ${Math.round(requests)} | ${cpu[0]} | ${cpu[1]} | ${missed} |`);
    for (const [kind, n] of [...kinds].sort((a, b) => b[1] - a[1])) console.error(`  ${transport}: ${kind} ${Math.round(n * (60 / took))} a minute`);
  } finally {
    all.forEach((person) => person.leave());
    await world.stop();
  }
}

console.log(`${people} people, ${perSecond} messages a second, ${seconds} s\n`);
console.log('| | requests a minute | chat | channels | people who miss something |\n|---|---|---|---|---|');
for (const transport of (process.env.TRANSPORTS ?? 'poll,push').split(',')) await measure(transport);
process.exit(0);
