import { testTransport } from './lib/transport.mjs';

testTransport('sockjs', { inNode: false }); // pusher-js has it in browsers only
