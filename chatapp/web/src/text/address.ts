/**
 * The address for a second person on this machine. 127.0.0.1 and localhost are
 * two hosts to a browser, with a cookie each, so two people fit in one.
 * `second` is false where there is no such twin.
 */
export function otherAddress(at: { protocol: string; hostname: string; port: string; origin: string }): { href: string; second: boolean } {
  const twin = { "127.0.0.1": "localhost", localhost: "127.0.0.1" }[at.hostname];
  if (!twin) return { href: at.origin, second: false };
  return { href: `${at.protocol}//${twin}${at.port === "" ? "" : ":" + at.port}`, second: true };
}
