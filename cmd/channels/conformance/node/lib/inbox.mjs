// Runs in Node and in a browser alike.

// How long anything that has to happen may take, in milliseconds. Only a
// failure ever uses it up.
export const patience = 30_000;

// Inbox keeps what arrives, in order, for a test that asks for it later.
export class Inbox {
  #items = [];
  #waiting = null;

  put(item) {
    this.#items.push(item);
    this.#waiting?.();
  }

  // next gives the oldest item, or rejects after a while.
  async next(what = 'an item') {
    const deadline = Date.now() + patience;
    while (this.#items.length === 0) {
      await new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`${what}: nothing arrived within ${patience} ms`)),
          deadline - Date.now(),
        );
        this.#waiting = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#waiting = null;
    }
    return this.#items.shift();
  }

  // rest takes everything that is there already.
  rest() {
    return this.#items.splice(0);
  }
}

// happens resolves with the first event of that name that passes the filter.
export function happens(emitter, event, filter = () => true) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      emitter.unbind(event, handler);
      reject(new Error(`${event}: not within ${patience} ms`));
    }, patience);
    function handler(value) {
      if (!filter(value)) return;
      clearTimeout(timer);
      emitter.unbind(event, handler);
      resolve(value);
    }
    emitter.bind(event, handler);
  });
}
