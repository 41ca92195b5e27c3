import { createHash, randomBytes } from 'node:crypto';

/** 32 random bytes as 43 letters that need no quoting in a shell, a URL or a header. */
export const newSecret = (): string => randomBytes(32).toString('base64url');

/** What is stored of a secret. Its 256 random bits need no salt and no slow hash. */
export const hashSecret = (secret: string): string => createHash('sha256').update(secret).digest('hex');
