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

  const address = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no address in the log: ${lines.join('\n')}`)), patience);
    createInterface({ input: child.stderr }).on('line', (line) => {
      lines.push(line);
      const found = /\blisten="?([^\s"]+)/.exec(line);
      if (found) {
        clearTimeout(timer);
        resolve(found[1]);
      }
    });
    exited.then((code) => reject(new Error(`the server ended with ${code}: ${lines.join('\n')}`)));
  });

  return {
    address,
    port: Number(address.slice(address.lastIndexOf(':') + 1)),

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
