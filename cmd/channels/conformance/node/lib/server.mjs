import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { patience } from './inbox.mjs';
import { binary } from './settings.mjs';

// startServer runs a server of the test's own, for tests that restart it.
export async function startServer(t, { listen = '127.0.0.1:0', env = {} } = {}) {
  const child = spawn(binary, ['serve', `--listen=${listen}`, '--ops-listen=127.0.0.1:0'], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, CHANNELS_SHUTDOWN_GRACE: '1s', GORACE: 'atexit_sleep_ms=0', ...env },
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  const lines = [];
  const exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)));
  t.after(() => child.kill('SIGKILL'));

  const [, address, ops] = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no address in the log: ${lines.join('\n')}`)), patience);
    createInterface({ input: child.stderr }).on('line', (line) => {
      lines.push(line);
      const found = /\blisten="?([^\s"]+).*\bops="?([^\s"]+)/.exec(line);
      if (found) {
        clearTimeout(timer);
        resolve(found);
      }
    });
    exited.then((code) => reject(new Error(`the server ended with ${code}: ${lines.join('\n')}`)));
  });

  return {
    address,
    port: Number(address.slice(address.lastIndexOf(':') + 1)),

    // metric adds up the samples of a metric that have these labels.
    async metric(name, labels = '') {
      const text = await (await fetch(`http://${ops}/metrics`)).text();
      const samples = text.split('\n').filter((line) => line.startsWith(name) && line.includes(labels));
      assert.ok(samples.length > 0, `no ${name}`);
      return samples.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
    },

    // kill is kill -9.
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },

    // terminate asks the server to end and requires that it does so cleanly.
    async terminate() {
      child.kill('SIGTERM');
      const code = await exited;
      if (code !== 0 || lines.some((line) => line.includes('WARNING: DATA RACE'))) {
        throw new Error(`the server ended with ${code}: ${lines.join('\n')}`);
      }
    },
  };
}
