import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { CreateRunRequest } from '@moraine/contract';
import { describeChoices } from '@moraine/contract/plan';
import { z } from 'zod';
import { fileId } from '../file-id.js';
import { sharesOf } from '../mix-shares.js';
import { withOptions } from '../request-options.js';
import { argumentsWith, clientOf, confirmationOf, defineTool, isConfirmed } from './tool.js';

/** Queues a run in two calls: the dry run, and the same call with the string that the dry run gave. */
export const submitRun = defineTool({
  name: 'submit_run',
  title: 'Submit a run',
  description:
    'Fine-tunes a base on a file of rows. The first call, without `confirm`, is a dry run: it uploads the files, checks everything and answers the whole configuration, warnings and the string that confirms it. Show that to the user. The same call with `confirm` queues the run.',
  effect: 'change',
  input: z.strictObject({
    model: z.string().min(1).describe('Registered base, or an adapter to go on with; list_models has them.'),
    training_file: z.string().min(1).describe('A JSONL file on this machine, or the id of an uploaded one.'),
    validation_file: z.string().optional().describe('Likewise, for validation.'),
    suffix: z.string().max(64).optional().describe('Part of the name of the trained model.'),
    method: z.string().optional().describe('Training method, as `npx moraine runs create --method` takes it.'),
    request: z
      .record(z.string(), z.unknown())
      .optional()
      .describe('Further keys of a fine-tuning request: adapter, optimizer, max_steps, evaluation and so on.'),
    confirm: z.string().optional().describe('What the dry run answered; without it nothing is queued.'),
  }),
  run: async (context, { confirm: given, method, request = {}, ...named }) => {
    const client = clientOf(context);
    const args = argumentsWith(context, { method });
    const { training_file: training, validation_file: validation, ...rest } = named;
    const contents = await Promise.all([training, validation].map((file) => contentOf(file)));
    const wanted = confirmationOf('submit', [named, method, request, contents]);
    const isForReal = isConfirmed(given, wanted);
    const body = {
      ...withOptions(request, args),
      ...rest,
      training_file: await fileId(args, client, training),
      ...(validation === undefined ? {} : { validation_file: await fileId(args, client, validation) }),
      dry_run: !isForReal,
    };
    const run = await client.call('createRun', { body: body as CreateRunRequest });
    if (isForReal) return { id: run.id, status: run.status, model: run.model, steps: run.progress.steps };
    return {
      would: `queue a run of ${run.progress.steps} steps on ${run.model}`,
      config: run.config,
      chosen: describeChoices(run.config),
      warnings: [
        ...sharesOf(run.rehearsal),
        ...(run.rehearsal ?? []).flatMap(({ warnings }) => warnings),
        ...(run.advice ?? []).map(({ message }) => message),
      ],
      confirm: wanted,
    };
  },
});

/** What a file on this machine holds; of an id nothing: an uploaded file does not change. */
async function contentOf(file: string | undefined): Promise<string | null> {
  if (file === undefined || !statSync(file, { throwIfNoEntry: false })?.isFile()) return null;
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
