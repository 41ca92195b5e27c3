import { AppError, LOW_RANK } from '@moraine/contract';
import { loadTf } from '@moraine/engine';
import { type Adapter, layerVariables, type WeightReader } from './adapter.js';
import { type HostTensor, transposed } from './host.js';
import type { Method } from './methods/method.js';

// The share λ of an adapter's update that is applied: 0 is the base, 1 all of it.

type Variables = ReadonlyMap<string, HostTensor>;

/** A layer's variables with the share λ of its update. @throws AppError where no values stand for it. */
export function scaledRoles(
  method: Method,
  roles: Readonly<Record<string, HostTensor>>,
  lambda: number,
): Record<string, HostTensor> {
  if (lambda === 1) return { ...roles };
  const { scales } = method;
  if (scales === undefined) throw withoutShare(lambda);
  return Object.fromEntries(
    Object.entries(roles).map(([role, value]) => [role, scales.includes(role) ? times(value, lambda) : value]),
  );
}

/** An adapter's variables as rows beside one base compute with them: with its method's own factor, and matrices turned that rows read turned. */
export function rowVariables(adapter: Adapter, variables: Variables): Map<string, HostTensor> {
  const { method } = adapter;
  const scale = method.rows?.scale ?? 1;
  return new Map(
    [...layerVariables(adapter, variables)].flatMap(([path, roles]) =>
      Object.entries(scaledRoles(method, roles, scale)).map(([role, value]) => {
        const isTurned = method.rows?.transposed?.includes(role) === true;
        return [`${path}.${role}`, isTurned ? transposed(value) : value] as const;
      }),
    ),
  );
}

/** The same adapter with a share of its update, to be stored in its form. @throws AppError `unsupported_format` where it has none. */
export function scaledVariables(adapter: Adapter, variables: Variables, lambda: number, weightOf: WeightReader) {
  const scaled = new Map<string, HostTensor>();
  for (const [path, roles] of layerVariables(adapter, variables))
    for (const [role, value] of Object.entries(scaledRoles(adapter.method, roles, lambda)))
      scaled.set(`${path}.${role}`, value);
  for (const [name, value] of variables)
    if (!scaled.has(name)) scaled.set(name, between(weightOf(name), value, lambda));
  return scaled;
}

/** An adapter that computes with a share of its update, whatever its method. */
export function adapterAtLambda(
  adapter: Adapter,
  variables: Variables,
  lambda: number,
  weightOf: WeightReader,
): { adapter: Adapter; variables: Map<string, HostTensor> } {
  const { method } = adapter;
  if (method.scales !== undefined || lambda === 1)
    return { adapter, variables: scaledVariables(adapter, variables, lambda, weightOf) };
  const whole = { ...adapter, method: { ...method, scales: [] } };
  return {
    adapter: { ...adapter, method: withShare(method, lambda) },
    variables: scaledVariables(whole, variables, lambda, weightOf),
  };
}

/** y0 + λ(y − y0): the method's update between none and all of it. */
function withShare({ applyAll: _all, rows: _rows, ...method }: Method, lambda: number): Method {
  return {
    ...method,
    apply: (x, weight, y0, variables) => {
      const tf = loadTf();
      return tf.add(y0, tf.mul(lambda, tf.sub(method.apply(x, weight, y0, variables), y0)));
    },
  };
}

/** W0 + λ(W − W0) of a weight that is trained whole. */
export function between(base: HostTensor, trained: HostTensor, lambda: number): HostTensor {
  if (lambda === 1) return trained;
  return { ...base, data: base.data.map((value, i) => value + lambda * ((trained.data[i] ?? Number.NaN) - value)) };
}

const times = (value: HostTensor, factor: number): HostTensor => ({
  ...value,
  data: value.data.map((x) => x * factor),
});

const withoutShare = (lambda: number): AppError =>
  new AppError(
    'unsupported_format',
    `The adapter cannot be stored in its own form at lambda ${lambda}: the length of the rows of its weights, which it trains, is no multiple of its numbers.`,
    {
      param: 'lambda',
      hint: `Take the merged model, or format ${LOW_RANK} with a rank: an approximation of the update at this lambda.`,
    },
  );
