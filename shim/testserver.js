'use strict';

const http = require('node:http');
const { once } = require('node:events');

/**
 * A server on loopback that ends with the test. answer(request, response, n) answers the n-th request, counted from 0.
 *
 * @returns {Promise<{url: string, requests: string[], server: http.Server}>} requests has each request's path
 */
async function serve(t, answer) {
  const requests = [];
  const server = http.createServer((request, response) => answer(request, response, requests.push(request.url) - 1));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, requests, server };
}

module.exports = { serve };
