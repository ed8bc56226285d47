'use strict';

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const path = require('node:path');
const { test, makeAction, writeProgram, writeRelease, start } = require('./testaction.js');
const { serve } = require('./testserver.js');

const program = Buffer.from('#!/bin/sh\necho "released: $*"\nexit 5\n');
const architecture = { x64: 'amd64', arm64: 'arm64' }[process.arch];
const asset = `/acme/action/releases/download/v1.2.3/nixery-action-linux-${architecture}`;
const ran = { code: 5, signal: null, out: 'released: action\n', err: '' };

const describe = (bytes) => ({ size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') });

// An action's directory at the commit of a release, whose server is answer; start it with env. kept is the program in the tool cache.
async function makeReleased(t, answer) {
  const root = makeAction(t);
  const { url, requests } = await serve(t, answer);
  writeRelease(root, {
    repository: `${url}/acme/action`,
    version: 'v1.2.3',
    programs: { [`linux-${architecture}`]: describe(program) },
  });
  const tools = path.join(root, 'tools');
  const kept = path.join(tools, 'nixery-action', '1.2.3', process.arch, 'nixery-action');
  return { root, url, requests, tools, kept, env: { RUNNER_TOOL_CACHE: tools } };
}

const files = (directory) => (fs.existsSync(directory) ? fs.readdirSync(directory, { recursive: true, withFileTypes: true }) : [])
  .filter((entry) => entry.isFile())
  .map((entry) => entry.name);

// Nothing is left in the directories that outlive a step, but what is expected in the tool cache.
function assertLeft({ root, tools }, ...expected) {
  assert.deepEqual(files(tools), expected);
  assert.deepEqual(fs.readdirSync(path.join(root, 'temp')), []);
}

test('downloads the program of the release once', async (t) => {
  const action = await makeReleased(t, (_, response) => response.end(program));
  assert.deepEqual(await start(action.root, action.env).done, ran);
  assert.deepEqual(action.requests, [asset]);
  assertLeft(action, 'nixery-action');
  assert.deepEqual(await start(action.root, action.env).done, ran);
  assert.deepEqual(action.requests, [asset], 'the second run asks for nothing');
});

test('a binary of the user comes before that of the release', async (t) => {
  const action = await makeReleased(t, (_, response) => response.end(program));
  writeProgram(path.join(action.root, 'bin', 'nixery-action'), 'echo shipped');
  assert.equal((await start(action.root, action.env).done).out, 'shipped\n');
  assert.deepEqual(action.requests, []);
});

test('builds where the release has nothing for the platform', async (t) => {
  const action = await makeReleased(t, (_, response) => response.end(program));
  writeRelease(action.root, { repository: action.url, version: 'v1.2.3', programs: { 'plan9-mips': describe(program) } });
  writeProgram(path.join(action.root, 'path', 'go'), 'printf "#!/bin/sh\\necho built\\n" > "$5"; /bin/chmod +x "$5"');
  assert.match((await start(action.root, action.env).done).out, /^no release has a nixery-action .*\nbuilt\n$/);
  assert.deepEqual(action.requests, []);
});

test('does not build instead of a release that cannot be had', async (t) => {
  const action = await makeReleased(t, (_, response) => response.writeHead(404).end());
  writeProgram(path.join(action.root, 'path', 'go'), 'echo must not run');
  const end = await start(action.root, action.env).done;
  assert.deepEqual(end, {
    code: 1,
    signal: null,
    out: `::error::downloading ${action.url}${asset}: the server answered 404 Not Found. Run the step again, or set NIXERY_ACTION_BINARY to a nixery-action that you trust\n`,
    err: '',
  });
  assertLeft(action);
});

test('does not wait for the rest of an error page', async (t) => {
  const action = await makeReleased(t, (_, response) => response.writeHead(403).write('an answer without an end'));
  const end = await start(action.root, action.env).done;
  assert.match(end.out, /answered 403 Forbidden/);
});

test('runs nothing that has another hash, and leaves nothing of it', async (t) => {
  const evil = Buffer.from(program.toString().replace('released', 'tampered'));
  const action = await makeReleased(t, (_, response) => response.end(evil));
  const end = await start(action.root, action.env).done;
  assert.equal(end.code, 1);
  assert.match(end.out, /^::error::downloading [^\n]*: its SHA-256 is [^\n]*\n$/);
  assertLeft(action);
});

for (const [name, damage] of Object.entries({
  'has other content': (file) => fs.writeFileSync(file, program.toString().replace('released', 'tampered')),
  'is cut off': (file) => fs.truncateSync(file, 20),
  'is not executable': (file) => fs.chmodSync(file, 0o644),
})) {
  test(`downloads again if what the tool cache has ${name}`, async (t) => {
    const action = await makeReleased(t, (_, response) => response.end(program));
    await start(action.root, action.env).done;
    damage(action.kept);
    assert.deepEqual(await start(action.root, action.env).done, ran);
    assert.equal(action.requests.length, 2);
    assert.deepEqual(fs.readFileSync(action.kept), program);
    assertLeft(action, 'nixery-action');
  });
}

test('runs where the tool cache takes nothing, and where there is none', async (t) => {
  const action = await makeReleased(t, (_, response) => response.end(program));
  fs.writeFileSync(action.tools, 'a file in the place of the directory');
  const end = await start(action.root, action.env).done;
  assert.match(end.out, /^::debug::the tool cache does not take nixery-action: [^\n]*\nreleased: action\n$/);
  assert.deepEqual(await start(action.root).done, ran);
  assert.equal(action.requests.length, 2);
  fs.rmSync(action.tools);
  assertLeft(action);
});

test('leaves nothing beside what it cannot replace', async (t) => {
  const action = await makeReleased(t, (_, response) => response.end(program));
  fs.mkdirSync(action.kept, { recursive: true });
  assert.match((await start(action.root, action.env).done).out, /take nixery-action: [^\n]*\nreleased: action\n$/);
  assertLeft(action);
});

test('two runs at once keep one whole program', async (t) => {
  const held = [];
  const action = await makeReleased(t, (_, response) => {
    response.writeHead(200).write(program.subarray(0, 10));
    if (held.push(response) === 2) {
      held.forEach((each) => each.end(program.subarray(10)));
    }
  });
  const ends = await Promise.all([start(action.root, action.env).done, start(action.root, action.env).done]);
  assert.deepEqual(ends, [ran, ran]);
  assert.deepEqual(fs.readFileSync(action.kept), program);
  assertLeft(action, 'nixery-action');
});

for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]]) {
  test(`${signal} ends a download, and leaves nothing`, async (t) => {
    let arrived;
    const requested = new Promise((resolve) => (arrived = resolve));
    const action = await makeReleased(t, (_, response) => {
      response.writeHead(200).write(program.subarray(0, 10), arrived);
    });
    const run = start(action.root, action.env);
    await requested;
    run.child.kill(signal);
    assert.deepEqual(await run.done, { code, signal: null, out: '', err: '' });
    assertLeft(action);
    assert.equal(action.requests.length, 1);
  });
}

// Node can be told of proxies at run time since 24.14; what is older goes the direct way.
test('asks the proxy that the environment names', async (t) => {
  const action = await makeReleased(t, (_, response) => response.end(program));
  const proxied = [];
  const proxy = await serve(t, (request, response) => {
    proxied.push(request.url);
    response.end(program);
  });
  proxy.server.on('connect', (request, socket) => {
    proxied.push(request.url);
    const { hostname, port } = new URL(`http://${request.url}`);
    const server = net.connect(port, hostname, () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
    server.pipe(socket).pipe(server);
    t.after(() => server.destroy());
  });
  assert.deepEqual(await start(action.root, { ...action.env, http_proxy: proxy.url }).done, ran);
  assert.equal(proxied.length > 0, Boolean(http.setGlobalProxyFromEnv), `the proxy was asked for ${proxied}`);
});
