// Loaded before a program of the suite (node --require): leads its connections and
// its listeners, whose ports are fixed, to where the rig has put them. HOSTS is an
// object of "host:port" to a port of this machine; a listener's host is "*".
const net = require('node:net');

const hosts = JSON.parse(process.env.HOSTS);

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  const options = Array.isArray(args[0]) ? args[0][0] : args[0];
  const port = hosts[`${options?.host}:${options?.port}`];
  if (port) Object.assign(options, { host: '127.0.0.1', port });
  return connect.apply(this, args);
};

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, hosts[`*:${port}`] ?? port, ...rest);
};
