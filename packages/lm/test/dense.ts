/**
 * The dense update of MoRA written out entry by entry, as far from src/methods/mora.ts as possible: indices and loops, float64, no
 * tensors. Source: the definition of the authors' operators (arXiv:2405.12130 Eq. 6 and 9 as released: circular padding, half-split
 * pairs, block 0 not rotated). m is R x R row-major; the result [d][k] is such that y = dense · x.
 */
export function denseSharing(m: Float32Array, side: number, inDim: number, outDim: number): number[][] {
  // Input j feeds group j mod R; the first p inputs feed the group of their padded copy as well.
  const padding = Math.ceil(inDim / side) * side - inDim;
  return Array.from({ length: outDim }, (_, i) =>
    Array.from({ length: inDim }, (_unused, j) => {
      let sum = m[(i % side) * side + (j % side)] ?? 0;
      for (let copy = j; copy < padding; copy += inDim) sum += m[(i % side) * side + ((inDim + copy) % side)] ?? 0;
      return sum;
    }),
  );
}

export function denseRotation(m: Float32Array, side: number, inDim: number, outDim: number): number[][] {
  const blocks = Math.ceil(inDim / side);
  const half = side / 2;
  const full = blocks * side;
  // Block-diagonal [nR][nR] of P_b = M · Rot_b, columns scaled: [M1 c + M2 s | M2 c - M1 s].
  const entry = (row: number, column: number): number => {
    const b = Math.floor(column / side);
    if (Math.floor(row / side) !== b) return 0;
    const [i, j] = [row % side, column % side];
    const t = j % half;
    const angle = b * 10_000 ** ((-2 * t) / side);
    const m1 = m[i * side + t] ?? 0;
    const m2 = m[i * side + t + half] ?? 0;
    return j < half ? m1 * Math.cos(angle) + m2 * Math.sin(angle) : m2 * Math.cos(angle) - m1 * Math.sin(angle);
  };
  return Array.from({ length: outDim }, (_, i) =>
    Array.from({ length: inDim }, (_unused, j) => {
      let sum = 0;
      // Padded columns are copies of the first ones: fold them back.
      for (let column = j; column < full; column += inDim) sum += entry(i % full, column);
      return sum;
    }),
  );
}
