import { createReadStream, createWriteStream, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';

const datasets = resolve(import.meta.dirname, '../../../shared/data/datasets');

/** Rows that both sides read, and how lm_eval is told to ask them. */
export interface ComparedTask {
  name: string;
  suite: string;
  file: string;
  doc_to_text: string;
  doc_to_choice: unknown;
  doc_to_target: string;
}

const READY = { doc_to_choice: '{{choices}}', doc_to_target: '{{gold}}' };

/** The choice items of the shared data, as files that both read; null where it is not there. */
export async function sharedTasks(work: string): Promise<ComparedTask[] | null> {
  if (!existsSync(datasets)) return null;
  const rows = (name: string): string => join(datasets, 'llm-foundry-eval', `${name}.jsonl`);
  const pubmed = join(work, 'pubmedqa.jsonl');
  const labelled = JSON.parse(readFileSync(join(datasets, 'pubmedqa/ori_pqal.json'), 'utf8')) as Record<string, Json>;
  const columns = ({ QUESTION, CONTEXTS, final_decision }: Json) => ({ QUESTION, CONTEXTS, final_decision });
  writeFileSync(pubmed, lines(Object.values(labelled).map(columns)));
  const wiki = join(work, 'olmes.jsonl');
  await unpackDocuments(wiki, work);
  const ready = (suite: string, file: string): ComparedTask => ({
    name: suite,
    suite,
    file,
    doc_to_text: '{{query}}',
    ...READY,
  });
  return [
    { ...ready('arc_easy', rows('arc_easy')), doc_to_text: '{{query}}\nAnswer:' },
    { ...ready('arc_challenge', rows('arc_challenge')), doc_to_text: '{{query}}\nAnswer:' },
    {
      name: 'winogrande',
      suite: 'winogrande',
      file: rows('winogrande'),
      doc_to_text: '{{gold}}',
      doc_to_choice: '{{context_options}}',
      doc_to_target: '{{continuation}}',
    },
    {
      name: 'pubmedqa',
      suite: 'pubmedqa',
      file: pubmed,
      doc_to_text: "Abstract: {{CONTEXTS | join('\n')}}\nQuestion: {{QUESTION}}\nAnswer:",
      doc_to_choice: ['yes', 'no', 'maybe'],
      doc_to_target: '{{final_decision}}',
    },
    ready('hellaswag', rows('hellaswag_small')),
    { ...ready('choices', wiki), name: 'olmes' },
  ];
}

type Json = Record<string, unknown>;

const lines = (rows: readonly unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

/** The distinct documents of the OLMES requests as questions with choices. */
async function unpackDocuments(to: string, work: string): Promise<void> {
  const packed = join(datasets, 'hellaswag/olmo_rc_5shot_requests.jsonl.gz');
  const plain = join(work, 'requests.jsonl');
  await pipeline(createReadStream(packed), createGunzip(), createWriteStream(plain));
  const documents = new Map<unknown, Json>();
  for (const line of readFileSync(plain, 'utf8').split('\n')) {
    if (line === '') continue;
    const { doc } = JSON.parse(line) as { doc: Json };
    documents.set(doc.ind, { query: doc.query, choices: doc.choices, gold: doc.gold });
  }
  writeFileSync(to, lines([...documents.values()]));
}
