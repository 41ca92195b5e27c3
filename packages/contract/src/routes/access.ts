import { z } from 'zod';
import { table } from './route.js';

export const ACCESS_ROUTES = table({
  createLoginLink: {
    method: 'POST',
    path: '/v1/login_links',
    tag: 'Access',
    summary: 'A one-time link that opens the dashboard in a browser',
    response: z.object({ object: z.literal('login_link'), url: z.string(), expires_at: z.int() }),
  },
  signOut: {
    method: 'DELETE',
    path: '/v1/sessions',
    tag: 'Access',
    summary: 'Sign out: ends the session of this browser; with an API key, every browser session of its project',
    response: z.object({ object: z.literal('sign_out'), ended: z.int() }),
  },
});
