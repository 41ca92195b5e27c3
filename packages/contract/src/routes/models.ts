import { z } from 'zod';
import { DeletedModel, listOf, ModelObject } from '../objects/index.js';
import { table } from './route.js';

const model = z.object({ model: z.string() });

/** The server downloads the base itself. */
export const DownloadBaseRequest = z
  .strictObject({
    name: z.string().describe('Letters, digits, dot, dash and underscore.'),
    source: z
      .string()
      .describe(
        '`hf:ORG/REPO` or `hf:ORG/REPO@REV`: a model of the hub that the operator has set with HF_ENDPOINT, and a branch, a tag or a commit of it; `main` by default.',
      ),
  })
  .meta({ id: 'DownloadBase' });

export const MODEL_ROUTES = table({
  listModels: {
    method: 'GET',
    path: '/v1/models',
    tag: 'Models',
    summary: 'Base models and fine-tuned models',
    response: listOf(ModelObject),
  },
  getModel: {
    method: 'GET',
    path: '/v1/models/:model',
    tag: 'Models',
    summary: 'One model',
    params: model,
    response: ModelObject,
  },
  createBase: {
    method: 'POST',
    path: '/v1/bases',
    tag: 'Models',
    summary:
      'Register a base model: field `name`, then each file of its Hugging Face folder as field `files`; or, as JSON, `name` and the `source` that the server downloads it from',
    consumes: 'multipart/form-data',
    json: DownloadBaseRequest,
    response: ModelObject,
  },
  deleteModel: {
    method: 'DELETE',
    path: '/v1/models/:model',
    tag: 'Models',
    summary: 'End the download of a base, or delete a base or a registered adapter that nothing was trained on',
    params: model,
    response: DeletedModel,
  },
  createAdapter: {
    method: 'POST',
    path: '/v1/adapters',
    tag: 'Models',
    summary:
      'Register an adapter for runs to start from: field `name`, field `model` with the base that it was trained on, then each file of its folder as field `files`',
    consumes: 'multipart/form-data',
    response: ModelObject,
  },
});
