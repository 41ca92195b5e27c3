import type { LinearShape } from '@moraine/contract/plan';
import { invariant, loadTf, matMul2d, type Tensor } from '@moraine/engine';
import { asMatrix, type HostTensor, onHost, toDevice } from '../host.js';
import { scaledRoles } from '../lambda.js';
import type { Method } from '../methods/method.js';
import { peftFactors } from '../methods/peft.js';

/** What is added to a weight: B·A with thin factors, b [out, n] and a [n, in], or a matrix [out, in]. */
export type Update = { kind: 'thin'; b: HostTensor; a: HostTensor } | { kind: 'dense'; matrix: HostTensor };

/**
 * ΔW of one layer at a share λ of it, from the method's variables by role. Thin where the method's form for PEFT is a LoRA, which is exact: LoRA, PiSSA,
 * MoRA 1 to 4 and truncation (arXiv 2405.12130; ΔW = D·M·C). What adds to y0 is computed without the base, so nothing of it is rounded away; DoRA and
 * OFT, which do not, are W − W0.
 */
export function layerUpdate(
  method: Method,
  layer: LinearShape,
  roles: Readonly<Record<string, HostTensor>>,
  weight: HostTensor,
  lambda: number,
): Update {
  const scaled = method.scales === undefined ? roles : scaledRoles(method, roles, lambda);
  const share = method.scales === undefined ? lambda : 1;
  return thinUpdate(method, layer, scaled) ?? { kind: 'dense', matrix: denseUpdate(method, weight, scaled, share) };
}

/** The factors of an update whose form for PEFT is a LoRA, its scale in B; null for others. */
function thinUpdate(method: Method, layer: LinearShape, roles: Readonly<Record<string, HostTensor>>): Update | null {
  const value = (role: string): HostTensor => {
    const found = roles[role];
    invariant(found !== undefined, `${layer.name} has no ${role}`);
    return found;
  };
  const described = { layers: [{ ...layer, value }], baseName: '', dropout: 0, targetModules: [layer.name] };
  const files = method.toPeft(described);
  const factors = files ? peftFactors(files, layer.name) : null;
  return factors && { kind: 'thin', ...factors };
}

function denseUpdate(
  method: Method,
  base: HostTensor,
  roles: Readonly<Record<string, HostTensor>>,
  share: number,
): HostTensor {
  const tf = loadTf();
  const [outDim = 0, inDim = 0] = base.shape;
  // A share of the variables that is a share of the update adds to y0; a turn of the weight (OFT) has no use for y0 at all.
  const isAdded = method.scales !== undefined && method.ignoresY0 !== true;
  return onHost(() => {
    const onDevice = Object.fromEntries(Object.entries(roles).map(([role, value]) => [role, toDevice(value)]));
    const weight = toDevice(base);
    const transposed = asMatrix((unit, first) => {
      const rows = unit.shape[0] ?? 0;
      if (isAdded) return method.apply(unit, weight, tf.zeros([rows, outDim]) as Tensor, onDevice);
      const y0 = tf.transpose(tf.slice(weight, [0, first], [outDim, rows])); // [rows, out]
      return tf.sub(method.apply(unit, weight, y0, onDevice), y0);
    }, inDim);
    return tf.mul(tf.transpose(transposed), share);
  });
}

/** ΔW of a weight that is trained whole: λ·(W − W0). */
export function wholeUpdate(base: HostTensor, trained: HostTensor, lambda: number): Update {
  const data = base.data.map((value, i) => lambda * ((trained.data[i] ?? Number.NaN) - value));
  return { kind: 'dense', matrix: { shape: [...base.shape], data } };
}

/** An update as a matrix [out, in]; the caller disposes of it. */
export const updateMatrix = (update: Update): Tensor =>
  update.kind === 'dense'
    ? toDevice(update.matrix)
    : loadTf().tidy(() => matMul2d(toDevice(update.b), toDevice(update.a)));
