/** The cheapest proof: one matrix product on the device, against numbers computed here. Argument: {size}. */
import { device, loadTf } from '@moraine/engine';

const { size } = JSON.parse(process.argv[2] ?? '{}') as { size: number };
/** Small whole numbers: every product and sum is exact in float32, and in TF32 and bfloat16 too. */
const entry = (i: number, j: number): number => ((7 * i + 3 * j) % 5) - 2;
const matrix = (at: (i: number, j: number) => number): Float32Array =>
  Float32Array.from({ length: size * size }, (_, n) => at(Math.floor(n / size), n % size));

const tf = loadTf();
const [a, b] = [
  tf.tensor2d(matrix(entry), [size, size]),
  tf.tensor2d(
    matrix((i, j) => entry(j, i + 1)),
    [size, size],
  ),
];
const times: number[] = [];
let product: ArrayLike<number> = [];
for (let i = 0; i < 5; i++) {
  const begun = performance.now();
  product = tf.tidy(() => tf.matMul(a, b).dataSync());
  times.push(performance.now() - begun);
}
let different = 0;
for (const [i, j] of [0, 1, size >> 1, size - 1].flatMap((i) => [0, 2, size - 1].map((j) => [i, j] as const))) {
  let wanted = 0;
  for (let k = 0; k < size; k++) wanted += entry(i, k) * entry(j, k + 1);
  if (product[i * size + j] !== wanted) different += 1;
}
const [first = 0, ...next] = times;
process.stdout.write(
  `${JSON.stringify({ size, different, first_ms: first, next_ms: Math.min(...next), device: device() })}\n`,
);
