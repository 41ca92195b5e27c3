import { loadTf } from '@moraine/engine';
import { type Sampling, sampleToken } from '../src/generation/sampling.js';
import {
  type Adapter,
  adapterNet,
  createMethod,
  createNet,
  forward,
  mix32,
  type Net,
  rowVariables,
  toDevice,
} from '../src/index.js';
import { createRandom } from '../src/random.js';
import { generating, randomVariables } from './generation-setup.js';
import { idsOf, tinyConfig } from './tiny.js';

/** What came of requests that were asked alone and then among seven others. */
export interface Strangers {
  /** Tokens that were compared. */
  tokens: number;
  /** Answers in which a token was another one. */
  different: number;
  /** Of these, the ones in which the draw was not within `NEAR` of where one token begins and the other ends. */
  wrong: number;
}

const NEAR = 1e-4;
const ROWS = 8;
const CONTEXT = 56;
const SAMPLINGS: readonly Sampling[] = [
  { temperature: 1, topP: 1, topK: 0 },
  { temperature: 0.7, topP: 0.9, topK: 0 },
  { temperature: 1.3, topP: 1, topK: 10 },
  { temperature: 1, topP: 1, topK: 0, minP: 0.05 },
];

const paths = ['self_attn.q_proj', 'mlp.down_proj'].flatMap((name) => [0, 1].map((i) => `model.layers.${i}.${name}`));
const groups: Adapter[] = [
  { method: createMethod({ type: 'lora', rank: 2, alpha: 4, use_rslora: false }), paths, dropout: 0 },
  { method: createMethod({ type: 'mora', rank: 4, mora_type: 6 }), paths, dropout: 0 },
];

interface Request {
  prompt: number[];
  adapter: string | null;
  sampling: Sampling;
  seed: number;
  stream: number;
}

/** Eight requests at a time of the base, LoRA and MoRA, each asked alone and then at once with the others, until so many tokens were compared. */
export async function besideStrangers(count: number): Promise<Strangers> {
  const plan = { batches: [1, ROWS], prefillTimes: [8], spans: [CONTEXT], contextMax: CONTEXT };
  const { session, generator, adapters, values } = await generating(tinyConfig, 'plain', { plan, groups });
  const weights = new Map([...values].map(([name, value]) => [name, toDevice(value)]));
  const nets = new Map<string | null, Net>([[null, createNet({ weights })]]);
  for (const [group, adapter] of groups.entries()) {
    const variables = randomVariables(adapter, 3 + group);
    adapters.load(`${group}`, group, rowVariables(adapter, variables));
    const onDevice = new Map([...variables].map(([name, value]) => [name, toDevice(value)]));
    nets.set(`${group}`, adapterNet(tinyConfig, weights, adapter, onDevice));
  }
  const ask = ({ prompt, sampling, ...rest }: Request): Promise<number[]> =>
    generator.begin(prompt, { maxNewTokens: CONTEXT, ...sampling, ...rest }).completion.then(({ ids }) => ids);
  const result: Strangers = { tokens: 0, different: 0, wrong: 0 };
  for (let round = 0; result.tokens < count; round++) {
    const requests = Array.from({ length: ROWS }, (_, i) => requestOf(round, i));
    const beside = await Promise.all(requests.map(ask));
    for (const [i, request] of requests.entries()) {
      const [alone, among] = [await ask(request), beside[i] ?? []];
      const at = alone.findIndex((id, place) => id !== among[place]);
      result.tokens += at < 0 ? alone.length : at + 1;
      if (at < 0) continue;
      result.different += 1;
      const pair = [alone[at] ?? -1, among[at] ?? -1];
      if (!isNear(nets.get(request.adapter) as Net, request, alone.slice(0, at), pair)) result.wrong += 1;
    }
  }
  session.dispose();
  return result;
}

const requestOf = (round: number, i: number): Request => ({
  prompt: idsOf(round * ROWS + i, 3 + (i % 5)),
  adapter: [null, '0', '1'][(round + i) % 3] ?? null,
  sampling: SAMPLINGS[i % SAMPLINGS.length] as Sampling,
  seed: round,
  stream: i,
});

/** Whether both tokens can be drawn with a number, or at an edge of what is drawn from, that is `NEAR` the one of this place. */
function isNear(net: Net, { prompt, sampling, seed, stream }: Request, said: number[], pair: number[]): boolean {
  const tf = loadTf();
  const ids = [...prompt, ...said];
  const logits = tf.tidy(() => {
    const all = forward(net, tinyConfig, { ids: tf.tensor2d(ids, [1, ids.length], 'int32') });
    return tf.slice(all, [ids.length - 1, 0], [1, tinyConfig.vocabSize]).dataSync() as Float32Array;
  });
  const random = createRandom(mix32(seed, stream));
  for (let i = 0; i < said.length; i++) random();
  const drawn = random();
  const shifts = [-NEAR, 0, NEAR];
  const reached = shifts.flatMap((by) =>
    shifts.map((edge) => {
      const moved = { ...sampling, topP: Math.min(1, sampling.topP + (sampling.topP < 1 ? edge : 0)) };
      if (moved.minP !== undefined) moved.minP += edge;
      return sampleToken(logits, moved, () => Math.min(Math.max(drawn + by, 0), 1 - Number.EPSILON));
    }),
  );
  return pair.every((id) => reached.includes(id));
}
