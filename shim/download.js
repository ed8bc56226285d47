'use strict';

const { createHash } = require('node:crypto');
const fs = require('node:fs/promises');
const http = require('node:http');
const { setTimeout: wait } = require('node:timers/promises');

const PATIENCE = { tries: 3, firstWait: 1000, longestWait: 60_000, limit: 300_000 };
const MAX_REDIRECTS = 5;

/** What a server sent is not what was asked for; again says that another try may go better, after so many milliseconds at least. */
class BadAnswer extends Error {
  constructor(message, { again = false, after = 0 } = {}) {
    super(message);
    Object.assign(this, { again, after });
  }
}

/**
 * Downloads a file whose content is known by its hash. Redirects are followed; a broken connection, 408, 429, 5xx and a file that
 * ends early are tried again.
 *
 * @param {string} url
 * @param {string} file where it is written. Unless the promise is fulfilled, what it has is not to be used.
 * @param {{sha256: string, size: number}} wanted the hash in hex, and the number of bytes: not one more is read
 * @param {AbortSignal} stop ends it at once
 * @param {object} patience tries, and milliseconds: the first wait, the longest one, the limit for each try
 */
async function download(url, file, wanted, stop, patience = PATIENCE) {
  useProxy();
  for (let attempt = 1; ; attempt++) {
    try {
      return await tryOnce(url, file, wanted, stop, patience.limit);
    } catch (err) {
      stop.throwIfAborted();
      const problem = err instanceof BadAnswer ? err : new BadAnswer(reason(err), { again: true });
      if (!problem.again || attempt >= patience.tries) {
        throw new Error(`downloading ${url}: ${problem.message}`);
      }
      const pause = Math.min(Math.max(patience.firstWait * 2 ** (attempt - 1), problem.after), patience.longestWait);
      console.log(`downloading ${url}: ${problem.message}; trying again in ${Math.ceil(pause / 1000)} s`);
      await wait(pause, undefined, { signal: stop }).catch(() => stop.throwIfAborted());
    }
  }
}

/** Node asks no proxy unless it is told to, and cannot be told at run time before 24.14. */
function useProxy() {
  http.setGlobalProxyFromEnv?.();
}

// fetch says "fetch failed", and why in a cause, which may have many.
function reason(err) {
  const cause = err.cause?.errors?.[0] ?? err.cause;
  return cause ? `${err.message}: ${cause.message || cause.code}` : err.message;
}

async function tryOnce(url, file, wanted, stop, limit) {
  const attempt = new AbortController();
  const pass = () => attempt.abort(stop.reason);
  stop.addEventListener('abort', pass);
  const late = setTimeout(() => attempt.abort(new BadAnswer(`not done after ${limit / 1000} s`, { again: true })), limit);
  try {
    stop.throwIfAborted();
    const response = await open(url, attempt.signal);
    await save(response, file, wanted);
  } catch (err) {
    attempt.signal.throwIfAborted(); // with the reason, which not every version of fetch passes on
    throw err;
  } finally {
    clearTimeout(late);
    stop.removeEventListener('abort', pass);
    attempt.abort(); // ends the connection, whatever is still on its way
  }
}

/** Follows redirects to an answer with content. */
async function open(url, signal) {
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const response = await fetch(url, { redirect: 'manual', signal });
    const location = response.headers.get('location');
    if (response.status < 300 || response.status > 399 || !location) {
      return checkStatus(response);
    }
    await response.body?.cancel();
    url = new URL(location, url);
  }
  throw new BadAnswer(`more than ${MAX_REDIRECTS} redirects`);
}

function checkStatus(response) {
  const { status, statusText } = response;
  if (status === 200) {
    return response;
  }
  const again = status === 408 || status === 429 || status >= 500;
  throw new BadAnswer(`the server answered ${status} ${statusText}`.trimEnd(), { again, after: retryAfter(response) });
}

/** Milliseconds, from either form of the header (RFC 9110, section 10.2.3). */
function retryAfter(response) {
  const value = response.headers.get('retry-after') ?? '';
  return /^\d+$/.test(value) ? value * 1000 : Math.max(Date.parse(value) - Date.now(), 0) || 0;
}

// A plain loop: a pipeline of streams did not always end when the connection broke (seen with node 20).
async function save(response, file, { sha256, size }) {
  const hash = createHash('sha256');
  const out = await fs.open(file, 'w');
  let length = 0;
  try {
    for await (const chunk of response.body) {
      length += chunk.length;
      if (length > size) {
        throw new BadAnswer(`it is larger than the ${size} bytes that are expected`);
      }
      hash.update(chunk);
      await out.writeFile(chunk);
    }
  } finally {
    await out.close();
  }
  if (length < size) {
    throw new BadAnswer(`it ended after ${length} of ${size} bytes`, { again: true });
  }
  const got = hash.digest('hex');
  if (got !== sha256) {
    throw new BadAnswer(`its SHA-256 is ${got}, but ${sha256} is expected. It is not run`);
  }
}

module.exports = { download };
