import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';
import { withoutTexts } from './without-texts.js';

/** `npm run dev` serves the pages with hot reload and passes API calls on to a running stack. */
const api = process.env.MORAINE_API ?? 'http://127.0.0.1:7311';

/** Writes each text file of the build as .br and .gz beside it, as small as they get: the API sends them as they are. */
const precompress = (): Plugin => ({
  name: 'precompress',
  writeBundle({ dir = 'dist' }) {
    for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' })) {
      if (!['.js', '.css', '.html', '.svg'].includes(extname(name))) continue;
      const path = join(dir, name);
      const bytes = readFileSync(path);
      writeFileSync(`${path}.br`, brotliCompressSync(bytes));
      writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
    }
  },
});

export default defineConfig({
  plugins: [react(), withoutTexts(), precompress()],
  // The first versions that know CSS light-dark(), which theme.css is written in.
  build: {
    target: ['chrome123', 'firefox121', 'safari17.5'],
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    // All that the first page needs is one chunk: the same bytes in two are 3 kB more, compressed apart.
    rolldownOptions: {
      treeshake: { manualPureFunctions: ['z'] },
      output: { codeSplitting: { groups: [{ name: 'shell', tags: ['$initial'] }] } },
    },
  },
  server: { proxy: { '/v1': api, '/login': api, '/docs': api } },
});
