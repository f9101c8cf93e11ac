// Clients that name a token behind their key, unmodified pusher-js with its stock
// behaviour, through an address that breaks their connections. They say on standard output
// what they are given: a line of JSON for each event of a channel. Settings come as JSON in
// RESUME: how many clients, their channels, and through which host and port. The end of
// standard input ends them.
import Pusher from 'pusher-js';

import { authorizer, pusherOptions } from './lib/clients.mjs';
import * as settings from './lib/settings.mjs';

const { clients, channels, host, port } = JSON.parse(process.env.RESUME);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

for (let i = 0; i < clients; i++) {
  const pusher = new Pusher(`${settings.key}~${crypto.randomUUID()}`, pusherOptions({
    wsHost: host, wsPort: port, httpHost: host, httpPort: port,
    activityTimeout: 3000, pongTimeout: 2000, unavailableTimeout: 3000,
    channelAuthorization: authorizer({ user_id: `user-${i}` }),
  }));
  pusher.connection.bind('state_change', ({ current }) => say({ client: i, state: current }));
  for (const name of channels) {
    pusher.subscribe(name).bind_global((event, data) => say({ client: i, channel: name, event, data }));
  }
}

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
