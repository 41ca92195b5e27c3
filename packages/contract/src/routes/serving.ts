import { z } from 'zod';
import { AdapterObject, listOf } from '../objects/index.js';
import { ChatCompletion, ChatRequest, TextCompletion, TextRequest } from '../serving/index.js';
import { table } from './route.js';

const model = z.object({ model: z.string().describe('A registered adapter, `ft:…`, or `ft:…:ckpt-step-N`.') });

export const SERVING_ROUTES = table({
  createChatCompletion: {
    method: 'POST',
    path: '/v1/chat/completions',
    tag: 'Answers',
    summary: 'Answer a conversation with a base, an adapter or a checkpoint; with `stream`, as server-sent events',
    body: ChatRequest,
    response: ChatCompletion,
    isLong: true,
  },
  createCompletion: {
    method: 'POST',
    path: '/v1/completions',
    tag: 'Answers',
    summary:
      'Go on with texts or token ids with a base, an adapter or a checkpoint; with `stream`, as server-sent events',
    body: TextRequest,
    response: TextCompletion,
    isLong: true,
  },
  listAdapters: {
    method: 'GET',
    path: '/v1/adapters',
    tag: 'Answers',
    summary: 'What was trained and is loaded in processes that answer: where, how large, whether pinned',
    response: listOf(AdapterObject),
  },
  getAdapter: {
    method: 'GET',
    path: '/v1/adapters/:model',
    tag: 'Answers',
    summary: 'The same of one; no process has it where `processes` is empty',
    params: model,
    response: AdapterObject,
  },
  pinAdapter: {
    method: 'POST',
    path: '/v1/adapters/:model/pin',
    tag: 'Answers',
    summary: 'Bring it into every process of its base, one is started where there is none, and keep it in memory there',
    params: model,
    response: AdapterObject,
    isLong: true,
  },
  unpinAdapter: {
    method: 'POST',
    path: '/v1/adapters/:model/unpin',
    tag: 'Answers',
    summary: 'It may leave the memory again when others want the room',
    params: model,
    response: AdapterObject,
  },
  unloadAdapter: {
    method: 'POST',
    path: '/v1/adapters/:model/unload',
    tag: 'Answers',
    summary:
      'Unpin it and give its memory back once its last answer has ended, unless another project has pinned the same files; the next request brings it anew',
    params: model,
    response: AdapterObject,
  },
});
