// A network that lets no WebSocket through, as some companies have it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, test } from 'node:test';

import { freePort, World } from './lib/world.mjs';

let world, gate;

// openGate passes requests on to a port, and drops every WebSocket.
async function openGate(listen, port) {
  const server = http.createServer((request, response) => {
    const { method, url, headers } = request;
    const onwards = http.request({ host: '127.0.0.1', port: port(), method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onwards.on('error', () => response.destroy());
    response.on('close', () => onwards.destroy());
    request.pipe(onwards);
  });
  server.on('upgrade', (_, socket) => socket.destroy());
  server.listen(listen, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

before(async () => {
  const port = await freePort();
  gate = await openGate(port, () => world.channelsPort);
  world = await World.start({ chat: { PUSHER_PUBLIC_PORT: String(port) } });
});

after(async () => {
  await world.stop();
  gate.closeAllConnections();
  gate.close();
});

test('the page is live over HTTP, both ways, and without polling the chat', async () => {
  const ada = await (await world.person('Ada')).signUp();
  const bob = await (await world.person('Bob')).signUp();
  const streams = [];
  bob.page.on('request', (request) => {
    if (request.url().includes('/xhr_streaming')) streams.push(request.url());
  });
  await bob.page.reload();
  await Promise.all([ada.live(), bob.live()]);
  assert.ok(streams.length > 0, 'no stream was opened');

  await Promise.all([ada.settled(), bob.settled()]);
  const asked = bob.requests();
  await ada.send('Over plain HTTP');
  await bob.sees('Over plain HTTP');
  assert.deepEqual(asked.filter((kind) => kind.startsWith('GET ')), [], 'the chat was polled');

  await ada.page.getByTestId('composer').pressSequentially('typing');
  await bob.page.getByTestId('typing').filter({ hasText: 'Ada' }).waitFor();
  assert.deepEqual([...ada.errors, ...bob.errors], []);
});
