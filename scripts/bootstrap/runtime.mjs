// The TensorFlow runtime, through packages/engine once that is built.
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Stop, step } from './console.mjs';

const load = (root) => import(pathToFileURL(path.join(root, 'packages/engine/dist/install/index.js')).href);
const megabytes = (bytes) => (bytes / 1e6).toFixed(0);

function sentence({ phase, detail, doneBytes, totalBytes }) {
  if (phase === 'wait') return `waiting: ${detail}`;
  if (phase === 'download' && totalBytes)
    return `${detail}, ${megabytes(doneBytes ?? 0)} of ${megabytes(totalBytes)} MB`;
  return phase === 'link' ? 'linking' : `${phase === 'unpack' ? 'unpacking' : 'compiling'} ${detail}`;
}

/** Installs what is not there. `variant` is undefined, 'auto', 'cpu' or 'cuda'. Throws a Stop with the remedy. */
export async function ensureRuntime(root, { variant, force = false }) {
  const { installRuntime, runtimeStatus } = await load(root);
  try {
    if (!force && runtimeStatus({ variant }).isInstalled) return;
    await step('engine', 'TensorFlow', async (tell) => {
      const { variant: kind, tensorflow } = await installRuntime({ variant, force }, (progress) =>
        tell(sentence(progress)),
      );
      tell(`TensorFlow ${tensorflow} (${kind === 'own' ? 'MORAINE_ENGINE_DIR' : kind.toUpperCase()})`);
    });
  } catch (error) {
    throw typeof error?.hint === 'string' ? new Stop(`${error.message}\n${error.hint}`) : error;
  }
}

/** The embedded Redis of machines that have none. */
export async function ensureValkey(root) {
  const { installValkey } = await load(root);
  await step('redis', 'Valkey 9.1 server', () => installValkey());
}
