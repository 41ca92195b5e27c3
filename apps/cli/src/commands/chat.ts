import { createInterface } from 'node:readline/promises';
import { OpenAI } from 'openai';
import { type Command, DATA_OPTION, integer, noMoreThan, number, required, text } from '../args.js';
import { addressFor, connect } from '../connect.js';
import { print, printError } from '../terminal.js';

type Message = OpenAI.ChatCompletionMessageParam;

export const chatCommand: Command = {
  name: 'chat',
  forms: [
    'MODEL [PROMPT] [--system TEXT] [--max-tokens N] [--temperature N] [--seed N] [--lambda N] [--json] [--data DIR]',
  ],
  options: {
    system: { type: 'string', value: 'TEXT', help: 'What the conversation begins with.' },
    'max-tokens': { type: 'string', value: 'N', help: 'Tokens of an answer at most; default what the context leaves.' },
    temperature: { type: 'string', value: 'N', help: '0 to 2; 0 takes the likeliest token. Default 1.' },
    seed: { type: 'string', value: 'N', help: 'The same seed gives the same answer; default another each time.' },
    lambda: { type: 'string', value: 'N', help: 'Share of the adapter’s update that answers, 0 to 1; default 1.' },
    json: { type: 'boolean', help: 'The whole answer as the API gives it, to one PROMPT.' },
    data: DATA_OPTION,
  },
  run: async (args) => {
    const model = required(args, 0, 'A base, an adapter or a checkpoint', chatCommand);
    noMoreThan(args, 2, chatCommand);
    const { origin, apiKey } = addressFor(args);
    const client = new OpenAI({ baseURL: `${origin}/v1`, apiKey });
    const system = text(args, 'system');
    const messages: Message[] = system === undefined ? [] : [{ role: 'system', content: system }];
    const request = {
      model,
      max_tokens: integer(args, 'max-tokens', 1, 1_000_000) ?? null,
      temperature: number(args, 'temperature', 0, 2) ?? null,
      seed: integer(args, 'seed', 0, 2 ** 31 - 1) ?? null,
      lambda: number(args, 'lambda', 0, 1) ?? null,
    };
    const ask = async (content: string): Promise<void> => {
      messages.push({ role: 'user', content });
      messages.push({ role: 'assistant', content: await streamAnswer(client, { ...request, messages }) });
    };
    const prompt = args.positionals[1];
    if (args.options.json) {
      const content = required(args, 1, 'A prompt', chatCommand);
      const body = { ...request, messages: [...messages, { role: 'user', content }].map((one) => ({ ...one })) };
      print(JSON.stringify(await connect(args).call('createChatCompletion', { body })));
      return 0;
    }
    if (prompt !== undefined) await ask(prompt);
    else await converse(ask);
    return 0;
  },
};

/** Prints an answer as it comes; returns it whole. */
async function streamAnswer(
  client: OpenAI,
  request: Omit<OpenAI.ChatCompletionCreateParamsStreaming, 'stream'>,
): Promise<string> {
  let answer = '';
  for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
    const piece = chunk.choices[0]?.delta.content ?? '';
    answer += piece;
    process.stdout.write(piece);
  }
  print();
  return answer;
}

/** Asks line by line until the input ends; an answer that fails ends nothing. */
async function converse(ask: (content: string) => Promise<void>): Promise<void> {
  const lines = createInterface({ input: process.stdin, output: process.stderr, prompt: '> ' });
  lines.prompt();
  for await (const line of lines) {
    if (line.trim() !== '') await ask(line).catch((error: unknown) => printError(String((error as Error).message)));
    lines.prompt();
  }
}
