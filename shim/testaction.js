'use strict';

// What the tests of the shim stand on: an action's directory, and a runner that starts the shim in it.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const nodeTest = require('node:test');

// A signal that gets lost must fail the test, not hang it.
const test = (name, body) => nodeTest.test(name, { timeout: 30_000 }, body);

// An action's directory of its own for each test, with the real shim, no release, and whatever binary the test puts there.
function makeAction(t) {
  const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'shim-')));
  t.after(() => fs.rmSync(root, { recursive: true, force: true }));
  for (const directory of ['shim', 'bin', 'path', 'temp']) {
    fs.mkdirSync(path.join(root, directory));
  }
  for (const file of fs.readdirSync(__dirname)) {
    fs.copyFileSync(path.join(__dirname, file), path.join(root, 'shim', file));
  }
  writeRelease(root, {});
  return root;
}

function writeRelease(root, { repository = '', version = null, programs = {} }) {
  fs.writeFileSync(path.join(root, 'shim', 'release.json'), JSON.stringify({ repository, version, programs }));
}

function writeProgram(file, ...lines) {
  fs.writeFileSync(file, ['#!/bin/sh', ...lines, ''].join('\n'), { mode: 0o755 });
  return file;
}

// Starts the shim as the runner does; done resolves to how it ended and what it printed.
function start(root, env = {}) {
  const child = spawn(process.execPath, [path.join(root, 'shim', 'main.js')], {
    cwd: root,
    env: { PATH: path.join(root, 'path'), RUNNER_TEMP: path.join(root, 'temp'), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const run = { child, out: '', err: '' };
  child.stdout.on('data', (text) => (run.out += text));
  child.stderr.on('data', (text) => (run.err += text));
  run.done = new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, out: run.out, err: run.err }));
  });
  return run;
}

async function printed(run, text) {
  while (!run.out.includes(text)) {
    await new Promise((resolve, reject) => {
      run.child.stdout.once('data', resolve);
      run.child.stdout.once('end', () => reject(new Error(`ended without ${text}: ${run.out}${run.err}`)));
    });
  }
}

module.exports = { test, makeAction, writeRelease, writeProgram, start, printed };
