import { explain } from '@moraine/contract';
import type OpenAI from 'openai';
import { paint } from '../terminal.js';
import { oneLine, type RunReport } from './report.js';

const TOKENS = 64;

/** Asks each adapter the first held-out question over chat/completions, as any client of OpenAI's API does; returns what to print. */
export async function askEach(openai: OpenAI, reports: readonly RunReport[]): Promise<string> {
  const question = reports.find(({ before }) => before.heldout)?.before.heldout?.samples[0];
  if (question === undefined) return '';
  const width = Math.max(8, ...reports.map(({ method }) => method.label.length));
  const lines = await Promise.all(
    reports.map(async ({ method, run }) => {
      const { fine_tuned_model: model } = run;
      if (model === null) return null;
      const answer = await ask(openai, model, question.prompt).catch((error: unknown) => paint('red', explain(error)));
      return `  ${paint('dim', method.label.padEnd(width))}  ${oneLine(answer)}   ${paint('dim', `npx moraine chat ${model}`)}`;
    }),
  );
  return [
    `  ${paint('dim', 'question'.padEnd(width))}  ${oneLine(question.prompt)}`,
    ...lines.filter((line) => line !== null),
  ].join('\n');
}

async function ask(openai: OpenAI, model: string, content: string): Promise<string> {
  const { choices } = await openai.chat.completions.create({
    ...{ model, messages: [{ role: 'user', content }], max_tokens: TOKENS, temperature: 0 },
    stream: false,
  });
  return choices[0]?.message.content ?? '';
}
