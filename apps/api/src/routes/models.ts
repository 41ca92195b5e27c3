import { parse } from '@moraine/contract';
import {
  addToUpload,
  assertBaseFilename,
  createBase,
  discardUpload,
  getModel,
  listModels,
  startUpload,
} from '@moraine/services';
import { z } from 'zod';
import type { Handlers } from './bind.js';
import { readForm } from './form.js';
import { repeatableOf } from './repeatable.js';

const FILES_MAX = 2_000;
const BaseFields = z.strictObject({ name: z.string() });

export const modelHandlers: Handlers<'listModels' | 'getModel' | 'createBase'> = {
  listModels: ({ s, actor }) => listModels(s, actor),
  getModel: ({ s, actor, params }) => getModel(s, actor, params.model),
  async createBase({ s, env, actor, request }) {
    const repeatable = repeatableOf(request);
    const upload = startUpload();
    try {
      const limits = { files: FILES_MAX, sizeBytesMax: env.baseLimitBytes, preservePath: true };
      const fields = await readForm(request, limits, 'files', async (filename, stream, sizeBytesMax) => {
        assertBaseFilename(filename);
        return addToUpload(s, upload, filename, stream, { sizeBytesMax });
      });
      const { name } = parse(BaseFields, fields, ' in the form');
      return await createBase(s, actor, { name, upload }, repeatable);
    } finally {
      // What was taken over is elsewhere by now.
      await discardUpload(s, upload);
    }
  },
};
