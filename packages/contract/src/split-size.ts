import { z } from 'zod';

/** A part of the distinct rows of a file: a share below 1, or so many of them. */
export const SplitSize = z
  .number()
  .min(0)
  .max(2147483647)
  .refine((size) => size < 1 || Number.isInteger(size), { message: 'a share below 1 or a whole number of rows' });
