// Signin, server-to-user events, watchlists and terminated users, as pusher-js
// and Echo show them.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import Echo from 'laravel-echo';
import Pusher from 'pusher-js';

import { connected, fence, joined, open, pusherOptions, refusal, rest } from './lib/clients.mjs';
import { Inbox, happens } from './lib/inbox.mjs';
import { key } from './lib/settings.mjs';

// userAuthentication answers as the customer's user-auth endpoint would.
const userAuthentication = (user) => ({
  customHandler: ({ socketId }, callback) => callback(null, rest().authenticateUser(socketId, user)),
});

// signedIn gives a client that is signed in. Its property online holds what is
// known of its watchlist, event by event.
async function signedIn(t, user, options = {}) {
  const pusher = open(t, { userAuthentication: userAuthentication(user), ...options });
  pusher.watched = new Inbox();
  for (const name of ['online', 'offline']) {
    pusher.user.watchlist.bind(name, (event) => pusher.watched.put({ name, ids: [...event.user_ids].sort() }));
  }
  const success = new Promise((resolve) => pusher.bind('pusher:signin_success', resolve));
  pusher.signin();
  pusher.success = await success;
  await pusher.user.signinDonePromise;
  return pusher;
}

// reachable resolves when the client's server-to-user channel is acknowledged.
async function reachable(pusher, id) {
  const channel = pusher.user.serverToUserChannel;
  if (!channel.subscribed) await happens(channel, 'pusher:subscription_succeeded');
  assert.equal(channel.name, `#server-to-user-${id}`);
}

test('signin tells who one is', async (t) => {
  const ada = await signedIn(t, { id: 'ada', user_info: { name: 'Ada' } });
  assert.equal(ada.user.user_data.id, 'ada');
  assert.deepEqual(JSON.parse(ada.success.user_data), { id: 'ada', user_info: { name: 'Ada' } });
});

test('sendToUser reaches every tab of the user and nobody else', async (t) => {
  const api = rest();
  const tabs = [await signedIn(t, { id: 'tabs' }), await signedIn(t, { id: 'tabs' })];
  const other = await signedIn(t, { id: 'tabs-other' });
  const inboxes = [];
  for (const [pusher, id] of [[tabs[0], 'tabs'], [tabs[1], 'tabs'], [other, 'tabs-other']]) {
    await reachable(pusher, id);
    const inbox = new Inbox();
    pusher.user.bind('greeting', (data) => inbox.put(data));
    inboxes.push(inbox);
  }
  await api.sendToUser('tabs', 'greeting', { text: 'hello' });
  await api.sendToUser('tabs-other', 'greeting', { text: 'other' });
  assert.deepEqual(await inboxes[0].next(), { text: 'hello' });
  assert.deepEqual(await inboxes[1].next(), { text: 'hello' });
  assert.deepEqual(await inboxes[2].next(), { text: 'other' });
  const { channels } = await (await api.get({ path: '/channels' })).json();
  assert.deepEqual(Object.keys(channels).filter((name) => name.startsWith('#')), []);
});

test('a wrong signin is refused and leaves the connection open', async (t) => {
  const pusher = open(t, {
    userAuthentication: {
      customHandler: (_, callback) => callback(null, { auth: `${key}:00`, user_data: '{"id":"ada"}' }),
    },
  });
  await happens(pusher.connection, 'connected');
  const refused = refusal(pusher);
  pusher.signin();
  assert.match((await refused).message, /^Invalid signature/);
  await fence(assert, rest(), await joined(pusher, 'after-wrong-signin'));
});

test('presence without channel_data takes the user of the signin', async (t) => {
  const ada = await signedIn(t, { id: 'ada', user_info: { name: 'Ada' } }, {
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, callback) => {
        const { auth } = rest().authorizeChannel(socketId, channelName.replace(/^presence-/, 'private-presence-'));
        assert.ok(auth);
        callback(null, { auth: signPresence(socketId, channelName) });
      },
    },
  });
  const room = await joined(ada, 'presence-signed-in');
  assert.deepEqual(room.members.me, { id: 'ada', info: { name: 'Ada' } });
});

// signPresence signs without channel_data, for which the SDK has no method.
function signPresence(socketId, channelName) {
  return rest().config.token.key + ':' + rest().config.token.sign(`${socketId}:${channelName}`);
}

test('a watchlist says who is there, who comes and who goes', async (t) => {
  const early = await signedIn(t, { id: 'early' });
  const watcher = await signedIn(t, { id: 'watcher', watchlist: ['early', 'late'] });
  const first = [await watcher.watched.next('the state'), await watcher.watched.next('the state')];
  assert.deepEqual(first, [{ name: 'online', ids: ['early'] }, { name: 'offline', ids: ['late'] }]);

  const late = await signedIn(t, { id: 'late' });
  assert.deepEqual(await watcher.watched.next('late comes'), { name: 'online', ids: ['late'] });

  const tab = await signedIn(t, { id: 'early' });
  early.disconnect();
  late.disconnect();
  assert.deepEqual(await watcher.watched.next('late goes'), { name: 'offline', ids: ['late'] });
  tab.disconnect();
  assert.deepEqual(await watcher.watched.next('early goes'), { name: 'offline', ids: ['early'] });
});

test('a watchlist that is too long is cut, and 4302 says so', async (t) => {
  const pusher = open(t, {
    userAuthentication: userAuthentication({ id: 'long', watchlist: Array.from({ length: 101 }, (_, i) => `w${i}`) }),
  });
  const refused = refusal(pusher);
  pusher.signin();
  assert.deepEqual(await refused, {
    code: 4302,
    message: 'Watchlist limit exceeded. Only the first 100 user IDs are accepted.',
  });
  await pusher.user.signinDonePromise;
  assert.equal(pusher.user.user_data.id, 'long');
});

test('terminateUserConnections ends what is signed in as the user', async (t) => {
  const api = rest();
  const [one, two] = [await signedIn(t, { id: 'kicked' }), await signedIn(t, { id: 'kicked' })];
  const bystander = await signedIn(t, { id: 'kicked-not' });
  const present = await connected(t, { member: { user_id: 'kicked' } });
  const room = await joined(present, 'presence-kicked');
  const ends = [one, two].map((pusher) => happens(pusher.connection, 'disconnected'));
  const codes = [one, two].map((pusher) => refusal(pusher));
  await api.terminateUserConnections('kicked');
  await Promise.all(ends);
  for (const code of codes) {
    assert.deepEqual(await code, { code: 4009, message: 'You got disconnected by the app.' });
  }
  await fence(assert, api, room);
  await fence(assert, api, await joined(bystander, 'after-kicked'));
});

for (const broadcaster of ['reverb', 'pusher']) {
  test(`Echo with ${broadcaster} signs in`, async (t) => {
    const { cluster, ...options } = pusherOptions({ userAuthentication: userAuthentication({ id: `echo-${broadcaster}` }) });
    const echo = new Echo({ broadcaster, Pusher, key, ...(broadcaster === 'pusher' && { cluster }), ...options });
    t.after(() => echo.disconnect());
    const { pusher } = echo.connector;
    const success = new Promise((resolve) => pusher.bind('pusher:signin_success', resolve));
    if (pusher.connection.state !== 'connected') await happens(pusher.connection, 'connected');
    echo.connector.signin?.() ?? pusher.signin();
    await success;
    assert.equal(pusher.user.user_data.id, `echo-${broadcaster}`);
  });
}
