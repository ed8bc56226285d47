'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test, makeAction, writeProgram, start, printed } = require('./testaction.js');

test('runs the shipped binary and passes its exit code on', async (t) => {
  const root = makeAction(t);
  writeProgram(path.join(root, 'bin', 'nixery-action'), 'echo "shipped: $*"', 'echo problem >&2', 'exit 42');
  const end = await start(root).done;
  assert.deepEqual(end, { code: 42, signal: null, out: 'shipped: action\n', err: 'problem\n' });
  assert.deepEqual(fs.readdirSync(path.join(root, 'temp')), []);
});

test('passes inputs on untouched', async (t) => {
  const root = makeAction(t);
  // Not in shell: some drop variables with a hyphen.
  const program = path.join(root, 'bin', 'nixery-action');
  fs.writeFileSync(
    program,
    `#!${process.execPath}\nfor (const [k, v] of Object.entries(process.env)) console.log(k + '=' + v)\n`,
    { mode: 0o755 },
  );
  const end = await start(root, { 'INPUT_GITHUB-TOKEN': 'x y\n%z', INPUT_TAGS: 'a,\nb', ACTIONS_RUNTIME_TOKEN: 't', GOFLAGS: '-x' }).done;
  for (const line of ['INPUT_GITHUB-TOKEN=x y\n%z\n', 'INPUT_TAGS=a,\nb\n', 'ACTIONS_RUNTIME_TOKEN=t\n', 'GOFLAGS=-x\n']) {
    assert.ok(end.out.includes(line), `${line} is not in ${end.out}`);
  }
});

// As an unsandboxed builder would: it looks at its parent, the shim.
test('shows no input or token in /proc', async (t) => {
  const root = makeAction(t);
  writeProgram(path.join(root, 'bin', 'nixery-action'), '/bin/cat /proc/$PPID/environ', 'echo "+$ACTIONS_RUNTIME_TOKEN"');
  const secrets = { 'INPUT_GITHUB-TOKEN': 'hunter2', ACTIONS_RUNTIME_TOKEN: 'hunter2', AWS_SECRET_ACCESS_KEY: 'hunter2', EMPTY: '' };
  const end = await start(root, secrets).done;
  assert.equal(end.out.replace(/[^\0]*\0/g, ''), '+hunter2\n', 'the program has the token, /proc does not');
  assert.doesNotMatch(end.out, /hunter2[^]*hunter2|INPUT_/);
  assert.match(end.out, /^PATH=/m);
});

test('prefers the override', async (t) => {
  const root = makeAction(t);
  writeProgram(path.join(root, 'bin', 'nixery-action'), 'echo shipped');
  writeProgram(path.join(root, 'mine'), 'echo mine');
  const end = await start(root, { NIXERY_ACTION_BINARY: path.join(root, 'mine') }).done;
  assert.equal(end.out, 'mine\n');
});

test('does not fall back from a bad override', async (t) => {
  const root = makeAction(t);
  writeProgram(path.join(root, 'bin', 'nixery-action'), 'echo shipped');
  const end = await start(root, { NIXERY_ACTION_BINARY: '/no/such' }).done;
  assert.deepEqual(end, {
    code: 1,
    signal: null,
    out: '::error::NIXERY_ACTION_BINARY is /no/such, which is not an executable file\n',
    err: '',
  });
});

test('says what to do when there is no binary', async (t) => {
  const root = makeAction(t);
  fs.mkdirSync(path.join(root, 'bin', 'nixery-action')); // a directory is no program
  const end = await start(root).done;
  assert.equal(end.code, 1);
  assert.match(end.out, /^::error::there is no nixery-action .* actions\/setup-go .* NIXERY_ACTION_BINARY [^\n]*\n$/);
});

test('builds with go when it must, without the settings of the workflow', async (t) => {
  const root = makeAction(t);
  writeProgram(
    path.join(root, 'path', 'go'),
    'echo "go $1 $2 $3 $6 in $PWD GOOS=$GOOS GOFLAGS=$GOFLAGS"',
    'printf "#!/bin/sh\\necho built; exit 3\\n" > "$5"; /bin/chmod +x "$5"',
  );
  const end = await start(root, { GOOS: 'plan9', GOFLAGS: '-mod=vendor' }).done;
  const said = `no release has a nixery-action for this commit and platform, so it is built with ${root}/path/go, which takes some minutes\n`;
  assert.equal(end.out, `${said}go build -trimpath -buildvcs=false ./cmd/action in ${root} GOOS= GOFLAGS=\nbuilt\n`);
  assert.equal(end.code, 3);
  assert.deepEqual(fs.readdirSync(path.join(root, 'temp')), [], 'the built binary is cleaned up');
});

test('says that building failed', async (t) => {
  const root = makeAction(t);
  writeProgram(path.join(root, 'path', 'go'), 'echo "no such module" >&2; exit 1');
  const end = await start(root).done;
  assert.equal(end.code, 1);
  assert.equal(end.err, 'no such module\n');
  assert.match(end.out, /\n::error::go build of the action in .* exited with code 1; its output is above\n$/);
});

test('escapes what would end the annotation', async (t) => {
  const root = makeAction(t);
  const end = await start(root, { NIXERY_ACTION_BINARY: '/a%\n::b' }).done;
  assert.match(end.out, /^::error::NIXERY_ACTION_BINARY is \/a%25%0A::b, [^\n]*\n$/);
});

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  test(`forwards ${signal} and waits`, async (t) => {
    const root = makeAction(t);
    const name = signal.slice(3);
    writeProgram(
      path.join(root, 'bin', 'nixery-action'),
      `trap 'echo cleaned up after ${name}; exit 7' ${name}`,
      'echo ready',
      'while :; do /bin/sleep 0.02; done',
    );
    const run = start(root);
    await printed(run, 'ready');
    run.child.kill(signal);
    const end = await run.done;
    assert.deepEqual(end, { code: 7, signal: null, out: `ready\ncleaned up after ${name}\n`, err: '' });
  });
}

test('forwards a signal that comes as soon as the binary runs', async (t) => {
  const root = makeAction(t);
  writeProgram(path.join(root, 'bin', 'nixery-action'), 'kill -TERM $PPID', 'exec /bin/sleep 60');
  assert.equal((await start(root).done).code, 143);
});

test('reports a binary that died of a signal, and leaves no orphan', async (t) => {
  const root = makeAction(t);
  writeProgram(path.join(root, 'bin', 'nixery-action'), 'echo "pid $$."', 'exec /bin/sleep 60');
  const run = start(root);
  await printed(run, '.');
  run.child.kill('SIGTERM');
  const end = await run.done;
  assert.equal(end.code, 143);
  const pid = Number(/pid (\d+)/.exec(end.out)[1]);
  assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
});

test('a signal during go build ends the step', async (t) => {
  const root = makeAction(t);
  writeProgram(
    path.join(root, 'path', 'go'),
    'printf "#!/bin/sh\\necho must not run\\n" > "$5"; /bin/chmod +x "$5"',
    "trap 'exit 0' INT",
    'echo building',
    'while :; do /bin/sleep 0.02; done',
  );
  const run = start(root);
  await printed(run, 'building');
  run.child.kill('SIGINT');
  const end = await run.done;
  assert.equal(end.code, 130);
  assert.match(end.out, /some minutes\nbuilding\n$/);
  assert.deepEqual(fs.readdirSync(path.join(root, 'temp')), []);
});
