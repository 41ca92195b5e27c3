import { z } from 'zod';
import { deletedOf, seconds } from './common.js';

export const DeletedModel = deletedOf('model');

const PLACES = ['slot', 'host', 'merged', 'disk'] as const;

/** What was trained and is loaded in processes that answer. */
export const AdapterObject = z
  .object({
    id: z.string().describe('Its name: a registered adapter, `ft:…`, or `ft:…:ckpt-step-N`.'),
    object: z.literal('adapter'),
    base: z.string(),
    sha256: z.string(),
    processes: z.array(
      z.object({
        id: z.string(),
        host: z.string(),
        place: z
          .enum(PLACES)
          .describe(
            '`slot`: in a row of the batch; `host`: in memory; `merged`: in weights of its own; `disk`: its files alone.',
          ),
        bytes: z.int().describe('What it takes of memory.'),
        pinned: z.boolean().describe('This project has it keep its place in memory.'),
      }),
    ),
  })
  .meta({ id: 'Adapter' });
export type AdapterObject = z.infer<typeof AdapterObject>;

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
    resident: z
      .array(z.object({ process: z.string(), place: z.enum(['base', ...PLACES]) }))
      .optional()
      .describe('Processes that answer with it and where they have it; a base is in memory there.'),
  })
  .meta({ id: 'Model' });
export type ModelObject = z.infer<typeof ModelObject>;
