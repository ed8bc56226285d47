'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { run } = require('./child.js');
const { findReleased } = require('./release.js');
const { Interrupted } = require('./signals.js');

const NAME = 'nixery-action';

/** Why there is no binary to run, told to the user. */
class NoBinary extends Error {}

/**
 * Finds the program: what the user says, what lies in bin/, or that of the release. Between releases it is built from the action's
 * own sources.
 *
 * @param {object} env the step's environment
 * @param {string} root the action's directory
 * @param {string} scratch an empty directory, for what is downloaded or built
 * @returns {Promise<string>} a path; rejects with NoBinary, or with Interrupted
 */
async function findBinary(env, root, scratch) {
  const override = env.NIXERY_ACTION_BINARY;
  if (override) {
    if (!isProgram(override)) {
      throw new NoBinary(`NIXERY_ACTION_BINARY is ${override}, which is not an executable file`);
    }
    return path.resolve(override);
  }
  const shipped = path.join(root, 'bin', NAME);
  if (isProgram(shipped)) {
    return shipped;
  }
  const released = await download(env, scratch);
  if (released) {
    return released;
  }
  const go = findOnPath('go', env.PATH);
  if (!go) {
    throw new NoBinary(
      `there is no ${NAME} for this action: no ${shipped}, and no go on PATH to build it with. ` +
        'Add a step with actions/setup-go before this one, or set NIXERY_ACTION_BINARY to a built binary',
    );
  }
  return build(go, env, root, scratch);
}

async function download(env, scratch) {
  try {
    return await findReleased(env, scratch);
  } catch (err) {
    if (err instanceof Interrupted) {
      throw err;
    }
    throw new NoBinary(`${err.message}. Run the step again, or set NIXERY_ACTION_BINARY to a ${NAME} that you trust`);
  }
}

async function build(go, env, root, scratch) {
  const target = path.join(scratch, NAME);
  console.log(`no release has a ${NAME} for this commit and platform, so it is built with ${go}, which takes some minutes`);
  // What a workflow sets for its own Go builds, such as GOOS or GOFLAGS=-mod=vendor, is not meant for this one.
  const { GOOS, GOARCH, GOFLAGS, ...rest } = env;
  const { code, signal } = await run(go, ['build', '-trimpath', '-buildvcs=false', '-o', target, './cmd/action'], {
    cwd: root,
    env: { ...rest, CGO_ENABLED: '0', GOWORK: 'off' },
  });
  if (signal) {
    throw new Interrupted(signal);
  }
  if (code !== 0) {
    throw new NoBinary(`go build of the action in ${root} exited with code ${code}; its output is above`);
  }
  return target;
}

function findOnPath(name, searchPath = '') {
  return searchPath
    .split(path.delimiter)
    .filter(path.isAbsolute)
    .map((directory) => path.join(directory, name))
    .find(isProgram);
}

function isProgram(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

/** Makes an empty directory where the runner cleans up after the job. */
function makeScratch(env) {
  return fs.mkdtempSync(path.join(env.RUNNER_TEMP || os.tmpdir(), `${NAME}-`));
}

module.exports = { findBinary, makeScratch };
