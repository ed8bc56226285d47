'use strict';

// What the runner starts. It finds the program and runs it: all else is the program's work.

const fs = require('node:fs');
const path = require('node:path');
const { findBinary, makeScratch } = require('./binary.js');
const { run } = require('./child.js');
const { concealEnvironment } = require('./environment.js');
const { Interrupted } = require('./signals.js');

async function main() {
  const env = concealEnvironment();
  const scratch = makeScratch(env);
  try {
    const binary = await findBinary(env, path.dirname(__dirname), scratch);
    const { code } = await run(binary, ['action'], { env });
    return code;
  } finally {
    fs.rmSync(scratch, { recursive: true, force: true });
  }
}

function report(err) {
  if (err instanceof Interrupted) {
    return err.code;
  }
  const message = err.message.replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A');
  console.log(`::error::${message}`);
  return 1;
}

// exitCode, not exit(): output that is still on its way must get out.
main().catch(report).then((code) => {
  process.exitCode = code;
});
