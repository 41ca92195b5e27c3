import type { IncomingMessage, ServerResponse } from 'node:http';
import { json as readJson } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { listOf, ModelObject } from '@moraine/contract';
import { ChatChunk, ChatRequest } from '@moraine/contract/serving';
import { fail, json, list } from './fixture-answer.js';

interface Answers {
  tokens: [token: string, logprob: number][];
  /** Milliseconds between tokens. */
  everyMs?: number;
  /** The connection is cut behind them. */
  breaksOff?: boolean;
}

/** The models of a `FixtureServer`, and what they answer. */
export class FixtureModels {
  /** Questions as they came. */
  readonly asked: ChatRequest[] = [];
  private readonly answers = new Map<string, Answers | { status: number; message: string; retryAfter?: number }>();

  /** A model answers with tokens and their log-probabilities, or with a refusal. */
  set(name: string, answers: Answers | { status: number; message: string; retryAfter?: number }): void {
    this.answers.set(name, answers);
  }

  list(res: ServerResponse): ServerResponse {
    return json(res, listOf(ModelObject).parse(list([...this.answers.keys()].map(modelOf))));
  }

  answer(req: IncomingMessage, res: ServerResponse): ServerResponse {
    void this.stream(req, res);
    return res;
  }

  /** A streamed answer, a token an event, as the API writes it. */
  private async stream(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const body = ChatRequest.parse(await readJson(req));
    this.asked.push(body);
    const answers = this.answers.get(body.model);
    if (answers === undefined) return void fail(res, 404, 'not_found', `There is no model ${body.model}.`);
    if ('status' in answers) {
      if (answers.retryAfter !== undefined) res.setHeader('retry-after', answers.retryAfter);
      return void fail(res, answers.status, 'unavailable', answers.message);
    }
    const shared = { id: 'c', object: 'chat.completion.chunk', created: 0, model: body.model, system_fingerprint: 'f' };
    const send = (part: object): unknown =>
      res.write(`data: ${JSON.stringify(ChatChunk.parse({ ...shared, usage: null, ...part }))}\n\n`);
    const choice = (more: object) => ({
      choices: [{ index: 0, delta: {}, logprobs: null, finish_reason: null, ...more }],
    });
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    send(choice({ delta: { role: 'assistant', content: '' } }));
    for (const [token, logprob] of answers.tokens) {
      await sleep(answers.everyMs ?? 5);
      if (res.destroyed) return;
      const told = { token, logprob, bytes: [...Buffer.from(token)], top_logprobs: [] };
      send(choice({ delta: { content: token }, logprobs: { content: [told], refusal: null } }));
    }
    if (answers.breaksOff) {
      // A reader that has not yet got to what came before the cut never sees it.
      await sleep(200);
      return void res.destroy();
    }
    send(choice({ finish_reason: 'stop' }));
    const used = answers.tokens.length + 1;
    send({ choices: [], usage: { prompt_tokens: 9, completion_tokens: used, total_tokens: used + 9 } });
    res.end('data: [DONE]\n\n');
  }
}

const modelOf = (id: string): ModelObject => ({
  ...{ id, object: 'model', created: 0, owned_by: 'moraine', parent: null, run_id: null, parameters: null },
  ...{ kind: id.startsWith('ft:') ? 'fine_tuned' : 'base', context: null, status: 'ready', source: null },
  ...{ commit: null, download: null, error: null },
});
