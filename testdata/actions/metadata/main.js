'use strict';

const fs = require('node:fs');

const images = process.env.INPUT_IMAGES.split('\n').map((line) => line.trim()).filter(Boolean);
const tags = images.flatMap((image) => [`${image}:main`, `${image}:1.2.3`]);
const labels = {
  'org.opencontainers.image.created': new Date().toISOString(),
  'org.opencontainers.image.description': 'Tools, "quoted" & with = in it',
  'org.opencontainers.image.revision': process.env.GITHUB_SHA,
  'org.opencontainers.image.title': 'toolbox',
  'org.opencontainers.image.version': 'main',
};
const lines = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
const annotations = lines.map((line) => `manifest:${line}`);

const outputs = { version: 'main', tags: tags.join('\n'), labels: lines.join('\n'), annotations: annotations.join('\n') };
outputs.json = JSON.stringify({ tags, labels, annotations });
for (const [name, value] of Object.entries(outputs)) {
  fs.appendFileSync(process.env.GITHUB_OUTPUT, `${name}<<end-of-${name}\n${value}\nend-of-${name}\n`);
}
