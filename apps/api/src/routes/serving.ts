import { findServed } from '@moraine/services';
import { proxyAnswer } from '../serving/proxy-answer.js';
import { sentText } from '../serving/sent-text.js';
import type { Call, Handlers } from './bind.js';

type Name = 'createChatCompletion' | 'createCompletion';

/** The name is resolved once: the answer belongs to the files that it stood for, to its end. */
async function answer({ s, env, actor, body, request, reply }: Call<Name>) {
  const model = await findServed(s, actor, body.model);
  return proxyAnswer(s, { model, path: request.url, body: sentText(request), waitMs: env.serveWaitMs }, reply);
}

export const servingHandlers: Handlers<Name> = { createChatCompletion: answer, createCompletion: answer };
