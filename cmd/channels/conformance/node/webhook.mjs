// Checks deliveries, one JSON object {headers, body} a line, with the unmodified SDK.
import { createInterface } from "node:readline";
import Pusher from "pusher";

const pusher = new Pusher({ appId: "1", key: process.env.CHANNELS_APP_KEY, secret: process.env.CHANNELS_APP_SECRET, host: "127.0.0.1" });
let events = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const { headers, body } = JSON.parse(line);
  const webhook = pusher.webhook({ headers, rawBody: body });
  if (!webhook.isValid()) throw new Error(`not valid: ${line}`);
  if (Math.abs(Date.now() - webhook.getTime().getTime()) > 60_000) throw new Error(`made at ${webhook.getTime()}`);
  events += webhook.getEvents().length;
}
console.log(events);
