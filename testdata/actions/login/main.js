'use strict';

const fs = require('node:fs');
const path = require('node:path');

const { INPUT_REGISTRY: registry, INPUT_USERNAME: username, INPUT_PASSWORD: password, DOCKER_CONFIG: directory } = process.env;
if (!registry || !username || !password) {
  throw new Error('registry, username or password is missing');
}
const file = path.join(directory, 'config.json');
const config = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : { auths: {} };
config.auths[registry] = { auth: Buffer.from(`${username}:${password}`).toString('base64') };
fs.writeFileSync(file, JSON.stringify(config));
