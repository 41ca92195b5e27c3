import { z } from 'zod';
import { FileObject } from './objects/index.js';
import { SplitSize } from './split-size.js';

/** Rows are drawn by a seed that everyone has, so that two people who split a file get the same rows. */
export const SPLIT_SEED = 7;
export const SPLIT_SHARE = 0.1;

export const SplitFileRequest = z
  .strictObject({
    validation: SplitSize.default(SPLIT_SHARE).describe(
      `Rows to choose by: a share of the distinct rows below 1, or a number of them. Default ${SPLIT_SHARE}; 0: no such file.`,
    ),
    test: SplitSize.default(0).describe('Rows to judge by, once; likewise. Default 0.'),
    seed: z.int().min(0).max(2147483647).default(SPLIT_SEED).describe(`Which rows are drawn. Default ${SPLIT_SEED}.`),
  })
  .meta({ id: 'SplitFileRequest' });
export type SplitFileRequest = z.input<typeof SplitFileRequest>;

const SplitPart = z.object({ file: FileObject, rows: z.int(), distinct: z.int() });

/** Files that the rows of another were divided over; rows that say the same are in the same one. */
export const FileSplit = z
  .object({
    object: z.literal('file.split'),
    file_id: z.string(),
    seed: z.int(),
    /** Of the whole file. */
    rows: z.int(),
    distinct: z.int(),
    train: SplitPart,
    validation: SplitPart.nullable(),
    test: SplitPart.nullable(),
  })
  .meta({ id: 'FileSplit' });
export type FileSplit = z.infer<typeof FileSplit>;
