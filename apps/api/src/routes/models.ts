import { DownloadBaseRequest, type ModelObject, parse } from '@moraine/contract';
import {
  addModelFile,
  createAdapter,
  createBase,
  deleteModel,
  discardUpload,
  downloadBase,
  getModel,
  listModels,
  startUpload,
  type Upload,
  withPlaces,
} from '@moraine/services';
import { z } from 'zod';
import type { Call, Handlers } from './bind.js';
import { readForm } from './form.js';
import { repeatableOf } from './repeatable.js';

const FILES_MAX = 2_000;
const BaseFields = z.strictObject({ name: z.string() });
const AdapterFields = z.strictObject({ name: z.string(), model: z.string().min(1).optional() });

export const modelHandlers: Handlers<'listModels' | 'getModel' | 'createBase' | 'deleteModel' | 'createAdapter'> = {
  async listModels({ s, actor }) {
    const page = await listModels(s, actor);
    return { ...page, data: await withPlaces(s, actor, page.data) };
  },
  getModel: (call) => placed(call, getModel(call.s, call.actor, call.params.model)),
  async createBase(call) {
    const { s, actor, request } = call;
    if (!request.isMultipart())
      return placed(call, downloadBase(s, actor, parse(DownloadBaseRequest, request.body ?? {})));
    const made = withFolder(call, (upload, fields) => {
      const { name } = parse(BaseFields, fields, ' in the form');
      return createBase(s, actor, { name, upload }, repeatableOf(request));
    });
    return placed(call, made);
  },
  deleteModel: ({ s, actor, params }) => deleteModel(s, actor, params.model),
  createAdapter(call) {
    const made = withFolder(call, (upload, fields) => {
      const { name, model } = parse(AdapterFields, fields, ' in the form');
      return createAdapter(call.s, call.actor, { name, model, upload }, repeatableOf(call.request));
    });
    return placed(call, made);
  },
};

/** A model with the processes that answer with it: every route tells the same of it. */
async function placed({ s, actor }: Pick<Call<'getModel'>, 's' | 'actor'>, found: Promise<ModelObject>) {
  const model = await found;
  const [whole = model] = await withPlaces(s, actor, [model]);
  return whole;
}

/** Takes the files of a form's folder and its fields, and hands them on; what is not taken over then is discarded. */
async function withFolder<T>(
  { s, env, request }: Pick<Call<'createBase'>, 's' | 'env' | 'request'>,
  use: (upload: Upload, fields: Record<string, string>) => Promise<T>,
): Promise<T> {
  const upload = startUpload();
  try {
    const limits = { files: FILES_MAX, sizeBytesMax: env.baseLimitBytes, preservePath: true };
    const fields = await readForm(request, limits, 'files', (filename, stream, sizeBytesMax) =>
      addModelFile(s, upload, { filename, stream, sizeBytesMax }),
    );
    return await use(upload, fields);
  } finally {
    // What was taken over is elsewhere by now.
    await discardUpload(s, upload);
  }
}
