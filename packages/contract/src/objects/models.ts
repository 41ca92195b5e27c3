import { z } from 'zod';
import { deletedOf, seconds } from './common.js';

export const DeletedModel = deletedOf('model');

export const ModelObject = z
  .object({
    id: z.string(),
    object: z.literal('model'),
    created: seconds,
    owned_by: z.string(),
    /** `base`: registered by an operator; `adapter`: registered to start from; `fine_tuned`: the result of a run. */
    kind: z.enum(['base', 'adapter', 'fine_tuned']),
    parent: z.string().nullable(),
    run_id: z.string().nullable(),
    parameters: z.int().nullable(),
    context: z.int().nullable(),
    status: z
      .enum(['processing', 'ready', 'error'])
      .describe(
        '`processing`: being downloaded from a hub; `error`: could not be. Only what is `ready` can be trained.',
      ),
    source: z.string().nullable().describe('`hf:ORG/REPO@REV` of a base that the server downloaded.'),
    commit: z.string().nullable().describe('What that revision was then.'),
    download: z
      .object({
        bytes: z.int(),
        bytes_total: z.int().nullable(),
        waiting: z.string().nullable().describe('Why nothing comes at the moment.'),
      })
      .nullable()
      .describe('How far it is, until it is `ready`.'),
    error: z
      .object({ code: z.string(), message: z.string(), param: z.string().nullable() })
      .nullable()
      .describe('Why it could not be downloaded, and what to do.'),
  })
  .meta({ id: 'Model' });
export type ModelObject = z.infer<typeof ModelObject>;
