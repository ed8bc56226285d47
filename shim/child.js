'use strict';

const { spawn } = require('node:child_process');
const { constants } = require('node:os');
const { onSignals } = require('./signals.js');

/**
 * Runs a program with our own stdin, stdout and stderr, and forwards signals to it.
 *
 * @returns {Promise<{code: number, signal: string|null}>} code as a shell reports it, 128+n for
 *   signal n; signal is what was forwarded or killed the program. Rejects if the program cannot start.
 */
function run(file, args, options = {}) {
  return new Promise((resolve, reject) => {
    let child = null;
    let forwarded = null;
    // Before the program starts: a signal that came in between would end us and orphan it.
    const stopForwarding = onSignals((signal) => {
      forwarded = signal;
      child.kill(signal);
    });
    child = spawn(file, args, { stdio: 'inherit', ...options });
    child.on('error', (err) => {
      stopForwarding();
      reject(err);
    });
    child.on('exit', (code, signal) => {
      stopForwarding();
      resolve({ code: signal ? 128 + constants.signals[signal] : code, signal: signal || forwarded });
    });
  });
}

module.exports = { run };
