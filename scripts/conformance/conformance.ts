// Compares docs/openapi.json with the description that OpenAI publishes of its API, for all that is fine-tuning: what its clients may send is
// taken, and what is answered is what they expect. Every difference must be named in docs/conformance.md, and every one named must be real.
// Usage: npm run conformance [-- PATH_OF_OPENAPI_YAML]. Without the file it says so and ends well.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { createComparison, type Document, type Operation } from './compare.js';
import { matchNamed } from './named.js';

const at = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const DEFAULT = at('../shared/data/reference/openai-openapi/openapi.yaml');

const OPERATIONS: Operation[] = [
  'GET /files',
  'POST /files',
  'GET /files/{file_id}',
  'DELETE /files/{file_id}',
  'GET /files/{file_id}/content',
  'POST /uploads',
  'POST /uploads/{upload_id}/parts',
  'POST /uploads/{upload_id}/complete',
  'POST /uploads/{upload_id}/cancel',
  'GET /models',
  'GET /models/{model}',
  'DELETE /models/{model}',
  'POST /chat/completions',
  'POST /completions',
  'POST /fine_tuning/jobs',
  'GET /fine_tuning/jobs',
  'GET /fine_tuning/jobs/{fine_tuning_job_id}',
  'POST /fine_tuning/jobs/{fine_tuning_job_id}/cancel',
  'POST /fine_tuning/jobs/{fine_tuning_job_id}/pause',
  'POST /fine_tuning/jobs/{fine_tuning_job_id}/resume',
  'GET /fine_tuning/jobs/{fine_tuning_job_id}/events',
  'GET /fine_tuning/jobs/{fine_tuning_job_id}/checkpoints',
].map((text) => {
  const [method = '', path = ''] = text.split(' ');
  return { method, path };
});

function main(): number {
  const reference = process.argv[2] ?? DEFAULT;
  if (!existsSync(reference)) {
    console.log(
      `There is no ${reference}; give the path of OpenAI's openapi.yaml to compare with it. Nothing was compared.`,
    );
    return process.argv[2] === undefined ? 0 : 1;
  }
  const ours = JSON.parse(readFileSync(at('docs/openapi.json'), 'utf8')) as Document;
  const comparison = createComparison(ours, parse(readFileSync(reference, 'utf8')) as Document);
  for (const operation of OPERATIONS) comparison.compare(operation);
  const { checks, differences } = comparison.outcome;
  const { unnamed, gone } = matchNamed(differences, readFileSync(at('docs/conformance.md'), 'utf8'));
  for (const line of unnamed) console.log(`not in docs/conformance.md: ${line}`);
  for (const line of gone) console.log(`in docs/conformance.md, but there is no such difference: ${line}`);
  const share = (100 * (checks - unnamed.length)) / checks;
  console.log(
    `${OPERATIONS.length} operations, ${checks} checks: ${checks - differences.length} equal, ${differences.length - unnamed.length} differences named in docs/conformance.md, ${unnamed.length} not: ${share.toFixed(1)} %`,
  );
  return unnamed.length + gone.length === 0 ? 0 : 1;
}

process.exitCode = main();
