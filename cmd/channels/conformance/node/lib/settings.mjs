// The server under test and its app, as the Go test that runs these files
// started it.
function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run these files with "go test -tags conformance"`);
  return value;
}

export const host = required('CHANNELS_HOST');
export const port = Number(required('CHANNELS_PORT'));
export const appId = required('CHANNELS_APP_ID');
export const key = required('CHANNELS_APP_KEY');
export const secret = required('CHANNELS_APP_SECRET');
export const certificate = { cert: required('CHANNELS_CERT_FILE'), key: required('CHANNELS_KEY_FILE') };
export const binary = required('CHANNELS_BINARY');

// Encrypts the events of private-encrypted channels.
export const encryptionMasterKeyBase64 = 'ZUhQVldIZzduRkdZVkJzS2pPRkRYV1JyaWJJUjJiMGI=';
