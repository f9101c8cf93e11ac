// Runs in the browser. The tests call window.kit.
import { Inbox, happens } from '/inbox.mjs';

const inboxes = {};
const echoes = new Inbox();
let sender; // the user id that came with the last wave

// transports: null = pusher-js's default.
function open({ host, port, key, user, transports = ['ws', 'wss'], secure = false }) {
  window.pusher = new Pusher(key, {
    cluster: '',
    wsHost: host,
    wsPort: port,
    wssPort: port,
    httpHost: host,
    httpPort: port,
    httpsPort: port,
    forceTLS: secure,
    ...(transports && { enabledTransports: transports }),
    channelAuthorization: { endpoint: '/auth', transport: 'ajax', params: user ? { user } : {} },
  });
  return window.pusher;
}

window.kit = {
  async connect(options) {
    const { connection } = open(options);
    await happens(connection, 'connected');
    return connection.socket_id;
  },
  transport: () => pusher.connection.connection.transport.name,

  // audit counts events whose data is their number. What is out of order is noted.
  audit(name) {
    window.audited = { next: 0, mistakes: [] };
    pusher.channel(name).bind('numbered', (n) => {
      if (n !== audited.next && audited.mistakes.length < 5) audited.mistakes.push(`${n} after ${audited.next - 1}`);
      audited.next = n + 1;
    });
  },
  audited: () => audited,

  // fail expects that the connection is refused for good.
  async fail(options) {
    const { connection } = open(options);
    const ended = happens(connection, 'disconnected');
    const { error } = await happens(connection, 'error');
    await ended;
    return { state: connection.state, error };
  },

  async join(name) {
    const channel = pusher.subscribe(name);
    const inbox = (inboxes[name] = new Inbox());
    channel.bind_global((event, data) => {
      if (event !== 'pusher:subscription_succeeded') inbox.put({ event, data });
    });
    channel.bind('client-wave', (_, { user_id }) => (sender = user_id));
    await happens(channel, 'pusher:subscription_succeeded');
  },

  refused(name) {
    return happens(pusher.subscribe(name), 'pusher:subscription_error');
  },

  // reconnected resolves with the socket id of the next connection, when this
  // channel is subscribed again.
  async reconnected(name) {
    await happens(pusher.channel(name), 'pusher:subscription_succeeded');
    return pusher.connection.socket_id;
  },

  next: (name) => inboxes[name].next(name),
  sender: () => sender,
  rest: (name) => inboxes[name].rest(),

  async echo({ broadcaster, host, port, key, channel }) {
    const echo = new Echo.default({
      broadcaster,
      key,
      cluster: '',
      wsHost: host,
      wsPort: port,
      wssPort: port,
      forceTLS: false,
      enabledTransports: ['ws', 'wss'],
      authEndpoint: '/auth',
    });
    const subscription = echo.private(channel).listen('Sent', (data) => echoes.put(data));
    await new Promise((resolve) => subscription.subscribed(resolve));
  },
  echoed: () => echoes.next('the event through Echo'),
};
