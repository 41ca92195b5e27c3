import type { AskBody } from './columns.js';

export const LANGUAGES = ['curl', 'Python', 'TypeScript'] as const;
export type Language = (typeof LANGUAGES)[number];

/** The question of a column as a program asks it. The key is left to the environment. */
export function snippetOf(language: Language, body: AskBody, origin: string): string {
  if (language === 'curl') return curl(body, origin);
  return language === 'Python' ? python(body, origin) : typescript(body, origin);
}

const curl = (body: AskBody, origin: string): string =>
  [
    `curl ${origin}/v1/chat/completions \\`,
    '  -H "authorization: Bearer $OPENAI_API_KEY" -H "content-type: application/json" \\',
    `  -d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`,
  ].join('\n');

/** What the stock client does not know goes into `extra_body` there. */
function python({ lambda, messages, ...body }: AskBody & { lambda?: number }, origin: string): string {
  return [
    'from openai import OpenAI',
    '',
    `client = OpenAI(base_url=${JSON.stringify(`${origin}/v1`)})`,
    'answer = client.chat.completions.create(',
    ...Object.entries(body).map(([key, value]) => `    ${key}=${JSON.stringify(value)},`),
    `    messages=${JSON.stringify(messages)},`,
    ...(lambda === undefined ? [] : [`    extra_body={"lambda": ${lambda}},`]),
    ')',
    'print(answer.choices[0].message.content)',
  ].join('\n');
}

const typescript = (body: AskBody, origin: string): string =>
  [
    "import OpenAI from 'openai';",
    '',
    `const client = new OpenAI({ baseURL: ${JSON.stringify(`${origin}/v1`)} });`,
    `const body = ${JSON.stringify(body, null, 2)} as OpenAI.ChatCompletionCreateParamsNonStreaming;`,
    'const answer = await client.chat.completions.create(body);',
    'console.log(answer.choices[0]?.message.content);',
  ].join('\n');
