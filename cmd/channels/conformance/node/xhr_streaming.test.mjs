import { testTransport } from './lib/transport.mjs';

testTransport('xhr_streaming');
