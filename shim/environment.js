'use strict';

const fs = require('node:fs');

// What node itself looks up again; Nix gets it as well.
const KEPT = /^(PATH|HOME|TMPDIR|TMP|TEMP|LANG|LC_[A-Z]+|TZ|SSL_CERT_(FILE|DIR)|NODE_[A-Z_]+|(https?|all|no)_proxy)=/i;

/**
 * Keeps builders from reading the step's inputs and tokens in /proc/<pid>/environ. The kernel shows the memory in which they
 * were handed to this process, so all but a few are overwritten there. process.env is of no use afterwards.
 *
 * @returns {object} the environment as it was
 */
function concealEnvironment() {
  const env = { ...process.env };
  if (process.platform !== 'linux') {
    return env;
  }
  try {
    overwrite();
  } catch (err) {
    console.log(`::debug::builders without a sandbox can read the step's environment in /proc: ${err.message}`);
  }
  return env;
}

function overwrite() {
  const shown = fs.readFileSync('/proc/self/environ');
  // Fields 50 and 51 of proc(5); the second field, in parentheses, may hold anything.
  const fields = fs.readFileSync('/proc/self/stat', 'latin1').replace(/^.*\) /s, '').split(' ');
  const [start, end] = [Number(fields[47]), Number(fields[48])];
  const memory = fs.openSync('/proc/self/mem', 'r+');
  try {
    const found = Buffer.alloc(end - start);
    fs.readSync(memory, found, 0, found.length, start);
    if (!Number.isSafeInteger(end) || !found.equals(shown)) {
      throw new Error('it is not where the kernel says');
    }
    fs.writeSync(memory, cleaned(found), 0, found.length, start);
  } finally {
    fs.closeSync(memory);
  }
}

/** The same variables, but with nothing in them that is not kept. */
function cleaned(environ) {
  const clean = Buffer.alloc(environ.length);
  let begin = 0;
  for (let end = environ.indexOf(0); end >= 0; end = environ.indexOf(0, begin)) {
    const pair = environ.subarray(begin, end);
    if (KEPT.test(pair.toString('latin1'))) {
      pair.copy(clean, begin);
    }
    begin = end + 1;
  }
  return clean;
}

module.exports = { concealEnvironment };
