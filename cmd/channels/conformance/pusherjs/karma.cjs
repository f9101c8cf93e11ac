// The suite's own configuration of karma, with a browser for each part.
const suite = process.env.SUITE;
const merged = require(`${suite}/spec/config/karma/config.integration.js`);

const part = (name) => ({
  base: 'ChromeHeadless',
  flags: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--ignore-certificate-errors',
    `--host-resolver-rules=${process.env.RULES}`,
    `--user-agent=Chrome part=${encodeURIComponent(name)}`,
  ],
});

function Results() {
  this.onSpecComplete = (browser, { suite, description, success, skipped, time, log }) =>
    process.send({ name: [...suite, description].join(' | '), success, skipped, time, log });
  this.onBrowserError = (browser, error) => process.send({ broken: String(error?.message ?? error) });
  this.onRunComplete = (browsers, { error, disconnected }) => {
    if (error || disconnected) process.send({ broken: 'a browser did not finish' });
  };
  this.adapters = [];
}

module.exports = (config) => {
  const parts = JSON.parse(process.env.PARTS);
  config.set({
    ...merged,
    basePath: suite,
    files: [`${__dirname}/parts.js`, ...merged.files],
    plugins: ['jasmine', 'webpack', 'chrome-launcher'].map((name) => require(`${suite}/node_modules/karma-${name}`)).concat({ 'reporter:results': ['type', Results] }),
    reporters: ['results'],
    browsers: parts.map((name) => name.replace(',', '-')),
    customLaunchers: Object.fromEntries(parts.map((name) => [name.replace(',', '-'), part(name)])),
    captureTimeout: 120_000,
    browserNoActivityTimeout: 120_000,
    autoWatch: false,
    singleRun: true,
    logLevel: config.LOG_WARN,
  });
};
