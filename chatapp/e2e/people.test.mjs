// The page's client without a browser, as the comparison of polling and push uses it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const here = (name) => fileURLToPath(new URL(name, import.meta.url));

test('with push nobody misses anything, and hardly anything is asked', async () => {
  await run('npm', ['run', '--silent', 'people'], { cwd: here('../web') });
  const { stdout } = await run('node', [here('compare.mjs')], { env: { ...process.env, PEOPLE: '30', SECONDS: '10' } });
  const rows = Object.fromEntries(stdout.split('\n').flatMap((line) => {
    const [, transport, requests, , , missed] = line.split('|').map((cell) => cell.trim());
    return transport === 'poll' || transport === 'push' ? [[transport, { requests: Number(requests), missed: Number(missed) }]] : [];
  }));
  assert.deepEqual([rows.poll.missed, rows.push.missed], [0, 0], stdout);
  assert.ok(rows.push.requests * 5 < rows.poll.requests, stdout);
});
