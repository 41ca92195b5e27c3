import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

/** `npm run dev` serves the pages with hot reload and passes API calls on to a running stack. */
const api = process.env.MORAINE_API ?? 'http://127.0.0.1:7311';

export default defineConfig({
  plugins: [react()],
  // The first versions that know CSS light-dark(), which theme.css is written in.
  build: {
    target: ['chrome123', 'firefox121', 'safari17.5'],
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
  },
  server: { proxy: { '/v1': api, '/login': api, '/docs': api } },
});
