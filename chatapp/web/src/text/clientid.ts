const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/**
 * A new client message id: 22 characters, 132 random bits. crypto.randomUUID
 * would do, but browsers withhold it from pages on plain http addresses of a
 * local network.
 */
export function newClientId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(22));
  return Array.from(bytes, (b) => ALPHABET.charAt(b & 63)).join("");
}
