import { ChatCompletion, ChatRequest, TextCompletion, TextRequest } from '../serving/index.js';
import { table } from './route.js';

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
});
