// A reporter for the suite under jasmine in Node.
jasmine.getEnv().addReporter({
  specDone: ({ fullName, status, duration, failedExpectations }) =>
    process.send({
      name: fullName,
      success: status !== 'failed',
      skipped: status === 'excluded' || status === 'pending',
      time: duration,
      log: failedExpectations.map((e) => e.message),
    }),
});
