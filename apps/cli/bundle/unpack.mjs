// Started by install.sh with the Node that it has just unpacked: node unpack.mjs PARTS TARGET. Node's own modules only.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, readFileSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createBrotliDecompress } from 'node:zlib';

const [parts = '', target = ''] = process.argv.slice(2);
const { archives } = JSON.parse(readFileSync(path.join(parts, 'manifest.json'), 'utf8'));

async function* bytesOf(files) {
  for (const { file } of files) yield* createReadStream(path.join(parts, file), { highWaterMark: 1 << 20 });
}

for (const { name, packing, parts: files } of archives) {
  if (packing !== 'brotli') continue;
  const tar = spawn('tar', ['-xof', '-', '-C', target], { stdio: ['pipe', 'inherit', 'inherit'] });
  const ended = once(tar, 'close');
  const params = { [constants.BROTLI_DECODER_PARAM_LARGE_WINDOW]: 1 };
  await pipeline(Readable.from(bytesOf(files)), createBrotliDecompress({ params, chunkSize: 1 << 20 }), tar.stdin);
  const [status] = await ended;
  if (status !== 0) throw new Error(`tar ended with status ${status} at ${name}`);
}
