import { parse } from '@moraine/contract';
import {
  addToUpload,
  createFile,
  deleteFile,
  discardUpload,
  getFile,
  getFileValidation,
  listFiles,
  openFile,
  previewStoredFile,
  splitStoredFile,
  startUpload,
} from '@moraine/services';
import { z } from 'zod';
import type { Handlers } from './bind.js';
import { sendBytes } from './bytes.js';
import { readForm } from './form.js';
import { repeatableOf } from './repeatable.js';

/** The fields beside `file`. */
const FileFields = z
  .strictObject({
    purpose: z.string(),
    'expires_after[anchor]': z.literal('created_at').optional(),
    'expires_after[seconds]': z.coerce.number().int().min(3600).max(2592000).optional(),
  })
  // It would be kept for ever, which nobody means who says from when on it expires.
  .refine((form) => form['expires_after[anchor]'] === undefined || form['expires_after[seconds]'] !== undefined, {
    path: ['expires_after[seconds]'],
    message: 'an anchor needs the seconds after it',
  });

export const fileHandlers: Handlers<
  | 'createFile'
  | 'listFiles'
  | 'getFile'
  | 'getFileContent'
  | 'getFileValidation'
  | 'splitFile'
  | 'previewFile'
  | 'deleteFile'
> = {
  async createFile({ s, env, actor, request }) {
    const repeatable = repeatableOf(request);
    const upload = startUpload();
    try {
      const limits = { files: 1, sizeBytesMax: env.uploadLimitBytes, preservePath: false };
      const fields = await readForm(request, limits, 'file', async (name, stream, sizeBytesMax) =>
        addToUpload(s, upload, name, stream, { sizeBytesMax }),
      );
      const { purpose, 'expires_after[seconds]': expiresAfterSeconds } = parse(FileFields, fields, ' in the form');
      return await createFile(s, actor, { upload, purpose, expiresAfterSeconds }, repeatable);
    } finally {
      // What was taken over is elsewhere by now.
      await discardUpload(s, upload);
    }
  },
  listFiles: ({ s, actor, query }) => listFiles(s, actor, query),
  getFile: ({ s, actor, params }) => getFile(s, actor, params.id),
  async getFileContent({ s, actor, params, reply }) {
    return sendBytes(reply, 'application/octet-stream', await openFile(s, actor, params.id));
  },
  getFileValidation: ({ s, actor, params }) => getFileValidation(s, actor, params.id),
  splitFile: ({ s, actor, params, body }) => splitStoredFile(s, actor, params.id, body),
  previewFile: ({ s, actor, params, query }) => previewStoredFile(s, actor, params.id, query),
  deleteFile: ({ s, actor, params }) => deleteFile(s, actor, params.id),
};
