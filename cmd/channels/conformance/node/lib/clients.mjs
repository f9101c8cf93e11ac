import Pusher from 'pusher-js';
import PusherServer from 'pusher';

import * as settings from './settings.mjs';
import { Inbox, happens } from './inbox.mjs';

// rest is the unmodified server SDK, pointed at the server under test.
export function rest(options = {}) {
  return new PusherServer({
    appId: settings.appId,
    key: settings.key,
    secret: settings.secret,
    host: settings.host,
    port: settings.port,
    useTLS: false,
    encryptionMasterKeyBase64: settings.encryptionMasterKeyBase64,
    ...options,
  });
}

// authorizer answers as the customer's auth endpoint would, for this member.
export function authorizer(member) {
  const signer = rest();
  return {
    customHandler({ socketId, channelName }, callback) {
      const data = channelName.startsWith('presence-') ? member : undefined;
      callback(null, signer.authorizeChannel(socketId, channelName, data));
    },
  };
}

// pusherOptions points pusher-js at the server under test.
export function pusherOptions(options = {}) {
  return {
    cluster: '',
    wsHost: settings.host,
    wsPort: settings.port,
    forceTLS: false,
    enabledTransports: ['ws'],
    ...options,
  };
}

// open gives a pusher-js client that goes away with the test. Its property
// wire holds every message of the server.
export function open(t, { key = settings.key, member, ...options } = {}) {
  const pusher = new Pusher(key, pusherOptions({ channelAuthorization: authorizer(member), ...options }));
  pusher.wire = new Inbox();
  pusher.connection.bind('message', (message) => pusher.wire.put(message));
  t.after(() => pusher.disconnect());
  return pusher;
}

// connected gives a client that is connected.
export async function connected(t, options) {
  const pusher = open(t, options);
  if (pusher.connection.state !== 'connected') await happens(pusher.connection, 'connected');
  pusher.wire.rest();
  return pusher;
}

// refusal resolves with the data of the next pusher:error.
export async function refusal(pusher) {
  const { type, data } = await happens(pusher.connection, 'error');
  if (type !== 'PusherError') throw new Error(`an error of type ${type}`);
  return data;
}

// joined subscribes and waits for the acknowledgement. The channel's property
// inbox holds every event of the channel, in order.
export async function joined(pusher, name) {
  const channel = pusher.subscribe(name);
  channel.inbox = new Inbox();
  const acknowledged = happens(channel, 'pusher:subscription_succeeded');
  channel.bind_global((event, data) => {
    if (event !== 'pusher:subscription_succeeded') channel.inbox.put({ event, data });
  });
  channel.acknowledgement = await acknowledged;
  return channel;
}

// listen gives an inbox of one event, with what pusher-js knows of its sender.
export function listen(channel, event) {
  const inbox = new Inbox();
  channel.bind(event, (data, metadata) => inbox.put({ data, metadata }));
  return inbox;
}

// fence publishes an event that nothing published before can arrive after, and
// requires that it is the next event of the channel.
export async function fence(assert, api, channel) {
  const token = Math.random().toString(36);
  await api.trigger(channel.name, 'fence', { token });
  const { event, data } = await channel.inbox.next('the fence');
  assert.deepEqual({ event, data }, { event: 'fence', data: { token } });
}
