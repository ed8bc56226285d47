'use strict';

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { download } = require('./download.js');
const { test } = require('./testaction.js');
const { serve } = require('./testserver.js');

const content = Buffer.from('the program '.repeat(1000));
const wanted = { size: content.length, sha256: createHash('sha256').update(content).digest('hex') };
const patience = { tries: 3, firstWait: 1, longestWait: 10, limit: 20_000 };

const send = (response, status, headers = {}) => response.writeHead(status, headers).end();

// What download makes of a server's answers: {file} with what it wrote, or {error}; and what it said meanwhile.
async function fetchFrom(t, answer, { stop = new AbortController(), patient = {}, onLog = () => {} } = {}) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'download-'));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  const file = path.join(directory, 'file');
  const { url, requests } = await serve(t, answer);
  const said = [];
  t.mock.method(console, 'log', (line) => {
    said.push(line);
    onLog(line);
  });
  try {
    await download(`${url}/file`, file, wanted, stop.signal, { ...patience, ...patient });
    return { file: fs.readFileSync(file), requests, said };
  } catch (err) {
    return { error: err.message.replace(url, 'http://server'), requests, said };
  }
}

test('downloads what it asked for', async (t) => {
  const end = await fetchFrom(t, (_, response) => response.end(content));
  assert.deepEqual(end, { file: content, requests: ['/file'], said: [] });
});

test('follows redirects, also relative ones', async (t) => {
  const end = await fetchFrom(t, (request, response, n) =>
    n === 0 ? send(response, 302, { location: '/assets/1?signature=a%2Fb' }) : response.end(content),
  );
  assert.deepEqual(end.file, content);
  assert.deepEqual(end.requests, ['/file', '/assets/1?signature=a%2Fb']);
});

test('ends in a loop of redirects', async (t) => {
  const end = await fetchFrom(t, (request, response) => send(response, 307, { location: request.url }));
  assert.equal(end.error, 'downloading http://server/file: more than 5 redirects');
  assert.equal(end.requests.length, 6);
});

for (const [status, text] of [[404, 'Not Found'], [403, 'Forbidden'], [304, 'Not Modified']]) {
  test(`does not repeat what is answered by ${status}`, async (t) => {
    const end = await fetchFrom(t, (_, response) => send(response, status));
    assert.equal(end.error, `downloading http://server/file: the server answered ${status} ${text}`);
    assert.equal(end.requests.length, 1);
  });
}

for (const [name, fault] of Object.entries({
  503: (response) => send(response, 503),
  429: (response) => send(response, 429),
  408: (response) => send(response, 408),
  'a closed connection': (response) => response.destroy(),
  'an end without all of the content': (response) => response.write(content.subarray(0, 100), () => response.end()),
  'a connection that breaks': (response) =>
    response.writeHead(200, { 'content-length': content.length }).write(content.subarray(0, 100), () => response.destroy()),
})) {
  test(`tries again after ${name}`, async (t) => {
    const end = await fetchFrom(t, (_, response, n) => (n < 2 ? fault(response) : response.end(content)));
    assert.deepEqual(end.file, content, end.error);
    assert.equal(end.requests.length, 3);
    assert.equal(end.said.length, 2);
  });

  test(`ends after three times ${name}`, async (t) => {
    const end = await fetchFrom(t, (_, response) => fault(response));
    assert.match(end.error, /^downloading http:\/\/server\/file: [^\n]{10,}$/);
    assert.equal(end.requests.length, 3);
  });
}

test('says which part has come', async (t) => {
  const end = await fetchFrom(t, (_, response) => response.end(content.subarray(1)));
  assert.equal(end.error, 'downloading http://server/file: it ended after 11999 of 12000 bytes');
});

test('reports that no server listens', async (t) => {
  const stop = new AbortController();
  await assert.rejects(download('http://127.0.0.1:1/x', '/no/such', wanted, stop.signal, { ...patience, tries: 1 }), {
    message: /^downloading http:\/\/127.0.0.1:1\/x: fetch failed: .*(ECONNREFUSED|bad port)/,
  });
});

const inTwoMinutes = () => new Date(Date.now() + 120_000).toUTCString();
for (const [form, value] of [['seconds', () => '120'], ['a date', inTwoMinutes]]) {
  test(`waits as long as the server asks, in ${form}`, async (t) => {
    const stop = new AbortController();
    const end = await fetchFrom(t, (_, response) => send(response, 429, { 'retry-after': value() }), {
      stop,
      patient: { longestWait: 200_000 },
      onLog: () => stop.abort(),
    });
    assert.match(end.said[0], /: the server answered 429 Too Many Requests; trying again in 1(20|19|18) s$/);
    assert.equal(end.requests.length, 1);
  });
}

test('waits no longer than is bearable', async (t) => {
  const end = await fetchFrom(t, (_, response, n) => (n ? response.end(content) : send(response, 503, { 'retry-after': '86400' })));
  assert.deepEqual(end.file, content);
});

test('reads no more than is expected', async (t) => {
  let closed;
  const end = await fetchFrom(t, (_, response) => {
    closed = new Promise((resolve) => response.on('close', resolve));
    const more = () => response.write(content, (err) => err || more());
    more();
  });
  assert.equal(end.error, 'downloading http://server/file: it is larger than the 12000 bytes that are expected');
  assert.equal(end.requests.length, 1);
  await closed;
});

test('does not take other content of the same size, and does not ask for it again', async (t) => {
  const other = Buffer.from(content);
  other[0] ^= 1;
  const end = await fetchFrom(t, (_, response) => response.end(other));
  assert.match(end.error, new RegExp(`: its SHA-256 is [0-9a-f]{64}, but ${wanted.sha256} is expected. It is not run$`));
  assert.equal(end.requests.length, 1);
});

test('waits for no server for ever', async (t) => {
  const end = await fetchFrom(t, (_, response) => response.write('t'), { patient: { limit: 50, tries: 2 } });
  assert.equal(end.error, 'downloading http://server/file: not done after 0.05 s');
  assert.equal(end.said.length, 1);
});

for (const [moment, answer] of Object.entries({
  'before an answer': (stop) => stop(),
  'in mid-download': (stop, response) => response.write('t', stop),
  'between two tries': (stop, response) => send(response, 503, { 'retry-after': '9' }),
})) {
  test(`ends at once when it is stopped ${moment}`, async (t) => {
    const controller = new AbortController();
    const stop = () => controller.abort(new Error('stopped'));
    const end = await fetchFrom(t, (_, response) => answer(stop, response), { stop: controller, patient: { longestWait: 9000 }, onLog: stop });
    assert.equal(end.error, 'stopped');
    assert.equal(end.requests.length, 1);
  });
}
