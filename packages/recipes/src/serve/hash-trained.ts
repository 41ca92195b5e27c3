import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { adapterConfigName, noAdapter } from '@moraine/contract/plan';
import { resultDir } from '../read-trained.js';

/** Files beside the weights of a checkpoint or a whole model that say what they are. */
const CONFIGS = ['config.json', 'state.json', 'model.safetensors.index.json'];
/** Not what a model computes with. */
const OTHERS = ['optimizer.safetensors'];

/**
 * The identity of what was trained: the hash of the files that decide what it computes, whatever it is called and wherever it lies: sha256
 * over lines `<sha256 of a file>  <its name>` of its configuration and its safetensors files, sorted by name.
 * @throws AppError `not_found` for a folder that holds neither an adapter nor a checkpoint nor a model.
 */
export async function hashTrained(dir: string): Promise<string> {
  const place = resultDir(dir);
  const names = existsSync(place) ? readdirSync(place) : [];
  const config = adapterConfigName(names) ?? CONFIGS.find((name) => names.includes(name));
  if (config === undefined) throw noAdapter(dir);
  const deciding = names.filter(
    (name) => name === config || CONFIGS.includes(name) || (name.endsWith('.safetensors') && !OTHERS.includes(name)),
  );
  const whole = createHash('sha256');
  for (const name of deciding.sort()) whole.update(`${await hashFile(join(place, name))}  ${name}\n`);
  return whole.digest('hex');
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  return hash.digest('hex');
}
