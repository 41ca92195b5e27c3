import type { ErrorCode } from '@moraine/contract';

/** What the process that makes an export says before the first byte. */
export type Answer =
  | { type: 'ready' }
  | { type: 'refused'; code: ErrorCode; message: string; param: string | null; hint: string | null };
