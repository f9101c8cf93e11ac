// Presence channels as pusher-js shows them.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { connected, fence, joined, listen, rest } from './lib/clients.mjs';

const members = (channel) => {
  const all = {};
  channel.members.each(({ id, info }) => (all[id] = info));
  return all;
};

test('members, me, member_added and member_removed', async (t) => {
  const api = rest();
  const ada = await connected(t, { member: { user_id: 'ada', user_info: { name: 'Ada' } } });
  const adas = await joined(ada, 'presence-lobby');
  assert.deepEqual(members(adas), { ada: { name: 'Ada' } });
  assert.deepEqual(adas.members.me, { id: 'ada', info: { name: 'Ada' } });
  assert.equal(adas.members.count, 1);

  const bob = await connected(t, { member: { user_id: 'bob', user_info: { name: 'Bob' } } });
  const bobs = await joined(bob, 'presence-lobby');
  assert.deepEqual(members(bobs), { ada: { name: 'Ada' }, bob: { name: 'Bob' } });
  assert.equal(bobs.members.count, 2);

  const added = await adas.inbox.next('member_added');
  assert.deepEqual([added.event, added.data], ['pusher:member_added', { id: 'bob', info: { name: 'Bob' } }]);
  assert.equal(adas.members.count, 2);

  bob.unsubscribe('presence-lobby');
  const removed = await adas.inbox.next('member_removed');
  assert.deepEqual([removed.event, removed.data], ['pusher:member_removed', { id: 'bob', info: { name: 'Bob' } }]);
  assert.deepEqual(members(adas), { ada: { name: 'Ada' } });

  // Nobody is told about themselves.
  assert.deepEqual(bobs.inbox.rest(), []);
  await fence(assert, api, adas);
});

test('two tabs of one user are one member', async (t) => {
  const api = rest();
  const witness = await joined(await connected(t, { member: { user_id: 'witness' } }), 'presence-tabs');

  const member = { user_id: 'ada', user_info: { name: 'Ada' } };
  const [one, two] = [await connected(t, { member }), await connected(t, { member })];
  const first = await joined(one, 'presence-tabs');
  assert.equal((await witness.inbox.next()).event, 'pusher:member_added');
  const second = await joined(two, 'presence-tabs');
  assert.equal(second.members.count, 2);
  await fence(assert, api, witness); // and no second member_added
  assert.equal((await first.inbox.next()).event, 'fence');

  one.disconnect();
  await api.get({ path: '/channels/presence-tabs', params: { info: 'user_count' } });
  await fence(assert, api, witness); // and no member_removed yet
  assert.equal((await second.inbox.next()).event, 'fence');
  assert.equal((await second.inbox.next()).event, 'fence');

  two.disconnect();
  const removed = await witness.inbox.next();
  assert.deepEqual([removed.event, removed.data.id], ['pusher:member_removed', 'ada']);
  await fence(assert, api, witness); // and only one member_removed
});

test('numeric user ids come back as strings', async (t) => {
  const api = rest();
  const one = await connected(t, { member: { user_id: 1, user_info: { n: 1 } } });
  const first = await joined(one, 'presence-numbers');
  assert.deepEqual(first.acknowledgement.members, { 1: { n: 1 } });

  // The same user, this time with a string.
  const same = await joined(await connected(t, { member: { user_id: '1', user_info: { n: 1 } } }), 'presence-numbers');
  assert.equal(same.members.count, 1);

  const two = await connected(t, { member: { user_id: 2 } });
  const second = await joined(two, 'presence-numbers');
  const added = await first.inbox.next();
  assert.deepEqual([added.event, added.data.id], ['pusher:member_added', '2']);

  const hellos = listen(first, 'client-hello');
  second.trigger('client-hello', { from: 2 });
  assert.deepEqual(await hellos.next(), { data: { from: 2 }, metadata: { user_id: '2' } });
  assert.equal((await first.inbox.next()).event, 'client-hello');

  const { users } = await (await api.get({ path: '/channels/presence-numbers/users' })).json();
  assert.deepEqual(users.map(({ id }) => id).sort(), ['1', '2']);

  two.disconnect();
  const removed = await first.inbox.next();
  assert.deepEqual([removed.event, removed.data.id], ['pusher:member_removed', '2']);
});

test('a member without user_info is there all the same', async (t) => {
  const channel = await joined(await connected(t, { member: { user_id: 'plain' } }), 'presence-plain');
  assert.equal(channel.members.count, 1);
  assert.deepEqual(members(channel), { plain: {} });
});
