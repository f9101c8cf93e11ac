// Loaded before the suite: leaves only the specs of the part that this browser is
// for, which its user agent names, or this process of Node, so that parts run side
// by side. Specs that set the suite up, or clean up, belong to every part.
(() => {
  const part = globalThis.process?.env?.PART ?? decodeURIComponent(/part=(\S+)/.exec(navigator.userAgent)[1]);
  const everywhere = /the global config$/;
  const parted = /with (\w+), forceTLS=(\w+)/;
  const names = [];
  const { describe, it } = globalThis;
  globalThis.describe = (name, body) =>
    describe(name, function () {
      names.push(name);
      body.call(this);
      names.pop();
    });
  globalThis.it = (name, ...rest) => {
    const full = [...names, name].join(' ');
    const [, transport, tls] = parted.exec(full) ?? [];
    const of = transport ? `${transport},${tls}` : 'others';
    if (of === part || everywhere.test(name)) it(name, ...rest);
    else xit(name, ...rest); // counted by nobody; jasmine wants no empty describe
  };
})();
