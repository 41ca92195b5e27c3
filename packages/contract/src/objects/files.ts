import { z } from 'zod';
import { deletedOf, seconds } from './common.js';

export const DeletedFile = deletedOf('file');

export const FileProblem = z.object({
  line: z.int(),
  key: z.string(),
  code: z.string(),
  message: z.string(),
  hint: z.string(),
});
export type FileProblem = z.infer<typeof FileProblem>;

export const FileObject = z
  .object({
    id: z.string(),
    object: z.literal('file'),
    bytes: z.int(),
    created_at: seconds,
    filename: z.string(),
    purpose: z.enum(['fine-tune', 'evals', 'fine-tune-results']),
    status: z.enum(['uploaded', 'processed', 'error']),
    status_details: z.string().nullable(),
    expires_at: seconds.nullable(),
    sha256: z.string(),
    format: z.enum(['chat', 'prompt_completion', 'text']).nullable(),
    rows: z.int().nullable(),
    problems: z.array(FileProblem),
  })
  .meta({ id: 'File' });
export type FileObject = z.infer<typeof FileObject>;

export const UploadObject = z
  .object({
    id: z.string(),
    object: z.literal('upload'),
    bytes: z.int(),
    created_at: seconds,
    filename: z.string(),
    purpose: z.string(),
    status: z.enum(['pending', 'completed', 'cancelled', 'expired']),
    expires_at: seconds,
    /** The file that it became; null before. */
    file: FileObject.nullable(),
  })
  .meta({ id: 'Upload' });
export type UploadObject = z.infer<typeof UploadObject>;

export const UploadPartObject = z
  .object({ id: z.string(), object: z.literal('upload.part'), created_at: seconds, upload_id: z.string() })
  .meta({ id: 'UploadPart' });
export type UploadPartObject = z.infer<typeof UploadPartObject>;
