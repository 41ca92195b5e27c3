import { z } from 'zod';

/** Redis channel on which a process is asked for. It needs no memory: a request that waits says its wish again. */
export const serveChannel = (prefix = 'moraine'): string => `${prefix}:serve`;

/** A request waits for a process that has this base, by its content. */
export const ServeWish = z.object({ base: z.string().regex(/^[0-9a-f]{64}$/) });
export type ServeWish = z.infer<typeof ServeWish>;
