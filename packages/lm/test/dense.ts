import type { MoraType } from '@moraine/contract/methods/mora';

/**
 * The dense update of MoRA written out entry by entry, as far from src/methods/mora.ts as possible: indices and loops, float64, no
 * tensors. Source: the definition of the authors' operators (arXiv:2405.12130 Eq. 6 and 9 as released: circular padding, half-split
 * pairs, block 0 not rotated). m is R x R row-major; the result [d][k] is such that y = dense · x.
 */
export function denseMora(type: MoraType, m: Float32Array, side: number, inDim: number, outDim: number): number[][] {
  if (type === 6 || type === 'decouple') return denseBlocks(type === 6, m, side, inDim, outDim);
  const inputs = groupsOf(
    type === 'truncation' ? 'first' : type === 1 || type === 4 ? 'strided' : 'contiguous',
    inDim,
    side,
  );
  const outputs = groupsOf(
    type === 'truncation' ? 'first' : type === 1 || type === 3 ? 'tiled' : 'contiguous',
    outDim,
    side,
  );
  return outputs.map((rows) =>
    inputs.map((columns) =>
      rows.reduce((sum, i) => sum + columns.reduce((part, j) => part + (m[i * side + j] ?? 0), 0), 0),
    ),
  );
}

/** The rows or columns of m that each index of a layer's side belongs to. */
function groupsOf(kind: 'strided' | 'tiled' | 'contiguous' | 'first', width: number, side: number): number[][] {
  const groups: number[][] = Array.from({ length: width }, () => []);
  switch (kind) {
    case 'tiled':
      return groups.map((_, i) => [i % side]);
    case 'first':
      return groups.map((_, i) => (i < side ? [i] : []));
    case 'strided':
      // Input j feeds group j mod R; the first ones feed the group of their padded copy as well.
      for (let copy = 0; copy < Math.ceil(width / side) * side; copy++) groups[copy % width]?.push(copy % side);
      return groups;
    case 'contiguous': {
      let next = 0;
      for (let group = 0; group < side; group++)
        for (let i = 0; i < Math.floor(width / side) + (group < width % side ? 1 : 0); i++) groups[next++]?.push(group);
      return groups;
    }
  }
}

function denseBlocks(isRotated: boolean, m: Float32Array, side: number, inDim: number, outDim: number): number[][] {
  const blocks = Math.ceil(inDim / side);
  const half = side / 2;
  const full = blocks * side;
  // Block-diagonal [nR][nR] of P_b = M · Rot_b, columns scaled: [M1 c + M2 s | M2 c - M1 s].
  const entry = (row: number, column: number): number => {
    const b = Math.floor(column / side);
    if (Math.floor(row / side) !== b) return 0;
    const [i, j] = [row % side, column % side];
    const t = j % half;
    const angle = (isRotated ? b : 0) * 10_000 ** ((-2 * t) / side);
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
