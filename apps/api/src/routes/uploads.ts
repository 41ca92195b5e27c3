import { parse } from '@moraine/contract';
import {
  addToUpload,
  addUploadPart,
  cancelUpload,
  completeUpload,
  createUpload,
  discardUpload,
  partBytesMax,
  startUpload,
} from '@moraine/services';
import { z } from 'zod';
import type { Handlers } from './bind.js';
import { readForm } from './form.js';
import { repeatableOf } from './repeatable.js';

export const uploadHandlers: Handlers<'createUpload' | 'addUploadPart' | 'completeUpload' | 'cancelUpload'> = {
  createUpload: ({ s, env, actor, body }) => createUpload(s, actor, body, env.uploadLimitBytes),
  async addUploadPart({ s, actor, params, request }) {
    const spool = startUpload();
    try {
      const limits = { files: 1, sizeBytesMax: await partBytesMax(s, actor, params.id), preservePath: false };
      const fields = await readForm(request, limits, 'data', async (name, stream, sizeBytesMax) =>
        addToUpload(s, spool, name, stream, { sizeBytesMax }),
      );
      parse(z.strictObject({}), fields, ' in the form');
      return await addUploadPart(s, actor, params.id, spool, repeatableOf(request));
    } finally {
      await discardUpload(s, spool);
    }
  },
  completeUpload: ({ s, actor, params, body }) => completeUpload(s, actor, params.id, body),
  cancelUpload: ({ s, actor, params }) => cancelUpload(s, actor, params.id),
};
