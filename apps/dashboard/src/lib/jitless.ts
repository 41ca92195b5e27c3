import { z } from 'zod';

/** The page's content security policy allows no `new Function`: zod must not even try. Import this before any schema. */
z.config({ jitless: true });
