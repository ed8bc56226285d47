'use strict';

const { createHash, randomBytes } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { pipeline } = require('node:stream/promises');
const { download } = require('./download.js');
const { abortOnSignals } = require('./signals.js');

const NAME = 'nixery-action';
const ARCHITECTURES = { x64: 'amd64', arm64: 'arm64' };

/**
 * Fetches the program of the release that this commit belongs to, or takes it from the runner's tool cache. release.json has the
 * hash of each platform's program, so who pins the action by its commit has pinned the program too. It is checked at
 * every use.
 *
 * @param {object} env the step's environment
 * @param {string} scratch an empty directory
 * @returns {Promise<string|null>} a path; null if this commit is not of a release, or the release has nothing for this platform.
 *   Rejects with Interrupted, or with what went wrong
 */
async function findReleased(env, scratch) {
  const { repository, version, programs } = require('./release.json');
  const platform = `${process.platform}-${ARCHITECTURES[process.arch]}`;
  const wanted = programs[platform];
  if (!wanted) {
    return null;
  }
  const cached = env.RUNNER_TOOL_CACHE && path.join(env.RUNNER_TOOL_CACHE, NAME, version.slice(1), process.arch, NAME);
  if (cached && (await isProgram(cached, wanted))) {
    return cached;
  }
  const fresh = path.join(scratch, NAME);
  const url = `${repository}/releases/download/${version}/${NAME}-${platform}`;
  await abortOnSignals((stop) => download(url, fresh, wanted, stop));
  fs.chmodSync(fresh, 0o755);
  return (cached && keep(fresh, cached)) || fresh;
}

async function isProgram(file, { sha256, size }) {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    if (fs.statSync(file).size !== size) {
      return false;
    }
    const hash = createHash('sha256');
    await pipeline(fs.createReadStream(file), hash);
    return hash.digest('hex') === sha256;
  } catch {
    return false;
  }
}

/** Puts a program into the tool cache, whole or not at all; null if the cache does not take it, which is no reason to fail. */
function keep(fresh, cached) {
  const part = `${cached}.${randomBytes(8).toString('hex')}`;
  try {
    fs.mkdirSync(path.dirname(cached), { recursive: true });
    try {
      fs.copyFileSync(fresh, part);
      fs.renameSync(part, cached);
      return cached;
    } finally {
      fs.rmSync(part, { force: true });
    }
  } catch (err) {
    console.log(`::debug::the tool cache does not take ${NAME}: ${err.message}`);
    return null;
  }
}

module.exports = { findReleased };
