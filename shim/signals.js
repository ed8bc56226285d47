'use strict';

const { constants } = require('node:os');

// On cancel the runner signals this process only, and kills it 10 s later.
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** Work was stopped by a signal; code is the exit code that says so, as a shell reports it. */
class Interrupted extends Error {
  constructor(signal) {
    super(`interrupted by ${signal}`);
    this.code = 128 + constants.signals[signal];
  }
}

/** Calls handler(signal) for each signal that would end this process, until the function that it returns is called. */
function onSignals(handler) {
  SIGNALS.forEach((signal) => process.on(signal, handler));
  return () => SIGNALS.forEach((signal) => process.off(signal, handler));
}

/**
 * Does work that can be stopped.
 *
 * @param {(stop: AbortSignal) => Promise<T>} work
 * @returns {Promise<T>} what work returns; once a signal came and work has ended, whichever way, it rejects with Interrupted
 */
async function abortOnSignals(work) {
  const controller = new AbortController();
  const ignore = onSignals((signal) => controller.abort(new Interrupted(signal)));
  try {
    return await work(controller.signal);
  } finally {
    ignore();
    controller.signal.throwIfAborted();
  }
}

module.exports = { abortOnSignals, onSignals, Interrupted };
