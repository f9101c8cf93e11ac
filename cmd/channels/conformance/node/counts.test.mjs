// pusher:subscription_count, for an app that has it switched on.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { connected, joined, listen, rest } from './lib/clients.mjs';

test('subscribers are told how many they are', async (t) => {
  const ada = await joined(await connected(t), 'counted');
  const counts = listen(ada, 'pusher:subscription_count');
  const first = ada.inbox.rest().filter(({ event }) => event === 'pusher:subscription_count');
  if (first.length === 0) assert.deepEqual((await counts.next()).data, { subscription_count: 1 });

  const bob = await connected(t);
  const bobs = await joined(bob, 'counted');
  assert.deepEqual((await counts.next('the second')).data, { subscription_count: 2 });
  assert.deepEqual((await bobs.inbox.next('his own')).data, { subscription_count: 2 });
  assert.equal(ada.subscriptionCount, 2);

  bob.unsubscribe('counted');
  assert.deepEqual((await counts.next('the first again')).data, { subscription_count: 1 });

  const answer = await rest().get({ path: '/channels/counted', params: { info: 'subscription_count' } });
  assert.deepEqual(await answer.json(), { occupied: true, subscription_count: 1 });
});

test('presence channels are not counted so', async (t) => {
  const ada = await connected(t, { member: { user_id: 'ada' } });
  const room = await joined(ada, 'presence-not-counted');
  await rest().trigger('presence-not-counted', 'last', {});
  assert.equal((await room.inbox.next()).event, 'last');
});
