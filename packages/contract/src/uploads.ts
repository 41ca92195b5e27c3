import { z } from 'zod';

/** The bodies of the routes that make a file of parts. */
export const CreateUploadRequest = z
  .strictObject({
    filename: z.string().min(1).max(1024).describe('What the file is called.'),
    purpose: z.string().describe('`fine-tune` for training and validation, `evals` for evaluation files.'),
    bytes: z.int().min(1).describe('Size of the whole file; its parts must have exactly so many.'),
    mime_type: z.string().max(255).describe('For example `text/jsonl`. Files are JSONL whatever it says.'),
    expires_after: z
      .strictObject({ anchor: z.literal('created_at'), seconds: z.int().min(3600).max(2592000) })
      .nullish()
      .describe('The file is deleted so many seconds after it was made.'),
  })
  .meta({ id: 'CreateUploadRequest' });
export type CreateUploadRequest = z.infer<typeof CreateUploadRequest>;

export const CompleteUploadRequest = z
  .strictObject({
    part_ids: z.array(z.string()).min(1).max(10_000).describe('Ids of the parts, in the order of their bytes.'),
    md5: z
      .string()
      .regex(/^[0-9a-fA-F]{32}$/, '32 hexadecimal digits')
      .nullish()
      .describe('MD5 of the whole file, hexadecimal; another is refused.'),
  })
  .meta({ id: 'CompleteUploadRequest' });
export type CompleteUploadRequest = z.infer<typeof CompleteUploadRequest>;

/** Bytes of a part at most, as the OpenAI API has it. */
export const PART_BYTES_MAX = 64 * 1024 ** 2;
