import { compareText } from '@moraine/contract/compare';
import { z } from 'zod';
import { askChat } from '../compare/ask.js';
import { compareBy, placeOf } from '../compare/compare-by.js';
import { argumentsWith, clientOf, defineTool } from './tool.js';

const listModels = defineTool({
  name: 'list_models',
  title: 'List models',
  description: 'Lists bases, adapters, trained models and their checkpoints: the names that submit_run and chat take.',
  effect: 'read',
  input: z.strictObject({}),
  run: async (context) => (await clientOf(context).call('listModels', {})).data,
});

const chat = defineTool({
  name: 'chat',
  title: 'Ask a model',
  description:
    'Asks a base, an adapter, a trained model or a checkpoint, and returns its answer, why it ended and the tokens used. Temperature 0 unless given: the likeliest answer.',
  effect: 'read',
  input: z.strictObject({
    model: z.string().min(1).describe('A name of list_models.'),
    messages: z
      .array(z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() }))
      .min(1)
      .describe('The conversation so far.'),
    temperature: z.number().min(0).max(2).default(0),
    max_tokens: z.int().min(1).max(100_000).optional().describe('Default: what the context leaves.'),
    seed: z.int().min(0).optional(),
    lambda: z.number().min(0).max(1).optional().describe('Share of the adapter’s update that answers; 0 is the base.'),
  }),
  run: (context, input, signal) => askChat(placeOf(context.args), input, signal),
});

const SHOWN_ROWS = 10;

const compareAnswers = defineTool({
  name: 'compare_answers',
  title: 'Compare with saved answers',
  description:
    'Asks a model here every row of a file and sets its answers beside the saved ones of another model on the same rows: who is right more often, with intervals, and the rows that ours lost.',
  effect: 'read',
  input: z.strictObject({
    rows: z.string().min(1).describe('JSONL file on this machine: rows that neither was trained on.'),
    ours: z.string().min(1).describe('The model to ask here.'),
    theirs: z
      .string()
      .min(1)
      .describe('JSONL file with the saved answers: a batch, stored completions, or {"answer"} a row.'),
    check: z.enum(['exact', 'eq', 'ne', 'like', 'ilike']).optional(),
    pattern: z.string().optional().describe('In place of check: a regular expression that a right answer matches.'),
    suite: z
      .string()
      .optional()
      .describe('Rows that say themselves how they are judged: string_check, answers, pattern, openai_evals.'),
    limit: z.int().min(1).optional().describe('The first rows only.'),
    max_tokens: z.int().min(1).optional(),
  }),
  run: async (context, { rows, ours, theirs, limit, max_tokens: tokens, ...words }) => {
    const numbers = { limit: limit?.toString(), 'max-tokens': tokens?.toString() };
    const { compared, facts } = await compareBy(argumentsWith(context, { ...words, ...numbers }), {
      rows,
      ours,
      theirs,
    });
    const { changed, ...figures } = compared;
    return { said: compareText(compared, facts), ...figures, changed: changed.slice(0, SHOWN_ROWS) };
  },
});

export const MODEL_TOOLS = [listModels, chat, compareAnswers];
