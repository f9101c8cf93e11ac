import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';

import { rest } from './clients.mjs';

const packages = new URL('../node_modules/', import.meta.url);

// What the site serves, and from where.
const files = {
  '/': [new URL('page.html', import.meta.url), 'text/html; charset=utf-8'],
  '/page.mjs': [new URL('page.mjs', import.meta.url), 'text/javascript'],
  '/inbox.mjs': [new URL('inbox.mjs', import.meta.url), 'text/javascript'],
  '/pusher.js': [new URL('pusher-js/dist/web/pusher-with-encryption.min.js', packages), 'text/javascript'],
  '/echo.js': [new URL('laravel-echo/dist/echo.iife.js', packages), 'text/javascript'],
};

// startSite runs the customer's web server: a page, its scripts, and the auth
// endpoint that signs subscriptions for it.
export async function startSite() {
  const signer = rest();
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://site');
    if (request.method === 'POST' && pathname === '/auth') return authorize(signer, request, response);
    const file = files[pathname];
    if (!file) return void response.writeHead(pathname === '/favicon.ico' ? 204 : 404).end();
    response.writeHead(200, { 'content-type': file[1] }).end(await readFile(file[0]));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

async function authorize(signer, request, response) {
  let body = '';
  for await (const chunk of request) body += chunk;
  const form = new URLSearchParams(body);
  const channel = form.get('channel_name');
  if (channel === 'private-forbidden') return void response.writeHead(403).end('Forbidden');
  const user = form.get('user') ?? 'somebody';
  const member = channel.startsWith('presence-') ? { user_id: user, user_info: { name: user } } : undefined;
  response
    .writeHead(200, { 'content-type': 'application/json' })
    .end(JSON.stringify(signer.authorizeChannel(form.get('socket_id'), channel, member)));
}
