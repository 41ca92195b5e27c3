import { AppError } from '@moraine/contract';
import { compileTemplate } from './chat-template.js';
import type { ChatMessage } from './row.js';
import { isObject, type Json } from './row-problem.js';

/** The chat template of a base: chat_template.jinja, or the default one of tokenizer_config.json; null where there is none. */
export function templateSource(jinja: string | null, config: Json | null): string | null {
  if (jinja !== null) return jinja;
  const inConfig = config?.chat_template;
  if (typeof inConfig === 'string') return inConfig;
  if (!Array.isArray(inConfig)) return null;
  const named = inConfig.filter(isObject);
  const chosen = named.find((entry) => entry.name === 'default') ?? named[0];
  return typeof chosen?.template === 'string' ? chosen.template : null;
}

const ASKED: ChatMessage = { role: 'user', content: 'Hello' };
const PROBES: readonly (readonly ChatMessage[])[] = [
  [ASKED],
  [ASKED, { role: 'assistant', content: 'Hi' }],
  [{ role: 'system', content: 'Be brief.' }, ASKED, { role: 'assistant', content: 'Hi' }, ASKED],
];

/**
 * Compiles the chat template of a base and renders short conversations; which roles it takes is its own affair.
 * @throws AppError `invalid_base` naming a construct that is not known here.
 */
export function checkChatTemplate(jinja: string | null, config: unknown): void {
  const source = templateSource(jinja, isObject(config) ? config : null);
  if (source === null) return;
  const template = compileTemplate(source, {
    bos_token: '<s>',
    eos_token: '</s>',
    pad_token: '</s>',
    unk_token: '<unk>',
  });
  for (const messages of PROBES) {
    for (const addGenerationPrompt of [false, true]) {
      try {
        template.render(messages, { addGenerationPrompt });
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== 'user_data') throw error;
      }
    }
  }
}
