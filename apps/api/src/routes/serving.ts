import { findServed, findTrained, getAdapter, listAdapters } from '@moraine/services';
import { changeResidency, type Residency } from '../serving/change-residency.js';
import { goneOf } from '../serving/gone-of.js';
import { proxyAnswer } from '../serving/proxy-answer.js';
import { sentText } from '../serving/sent-text.js';
import { waitForProcess } from '../serving/wait-for-process.js';
import type { Call, Handlers } from './bind.js';

type Asking = 'createChatCompletion' | 'createCompletion';
type Changing = 'pinAdapter' | 'unpinAdapter' | 'unloadAdapter';

/** The name is resolved once: the answer belongs to the files that it stood for, to its end. */
async function answer({ s, env, actor, body, request, reply }: Call<Asking>) {
  const model = await findServed(s, actor, body.model);
  return proxyAnswer(s, { model, path: request.url, body: sentText(request), waitMs: env.serveWaitMs }, reply);
}

/** What is pinned must be somewhere: a process is waited for, and again where the only one was found to be gone. */
async function change({ s, env, actor, params, reply }: Call<Changing>, act: Residency) {
  const model = await findTrained(s, actor, params.model);
  const gone = goneOf(reply);
  for (;;) {
    if (act === 'pin') await waitForProcess(s, model, env.serveWaitMs, gone);
    const count = await changeResidency(s, model, act, gone);
    if (count > 0 || act !== 'pin') return getAdapter(s, actor, params.model);
  }
}

export const servingHandlers: Handlers<Asking | Changing | 'listAdapters' | 'getAdapter'> = {
  createChatCompletion: answer,
  createCompletion: answer,
  listAdapters: ({ s, actor }) => listAdapters(s, actor),
  getAdapter: ({ s, actor, params }) => getAdapter(s, actor, params.model),
  pinAdapter: (call) => change(call, 'pin'),
  unpinAdapter: (call) => change(call, 'unpin'),
  unloadAdapter: (call) => change(call, 'unload'),
};
