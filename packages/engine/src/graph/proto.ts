/**
 * Writes protocol buffer messages (the wire format: protobuf.dev/programming-guides/encoding). A GraphDef needs integers, floats, bytes
 * and nested messages; nothing is read back.
 */
export class ProtoWriter {
  #bytes = Buffer.allocUnsafe(4096);
  #length = 0;

  /** An integer or enum field; negative numbers take ten bytes, as the format wants. */
  int(field: number, value: number): this {
    this.#varint(field * 8);
    this.#varint(value);
    return this;
  }

  bool(field: number, value: boolean): this {
    return this.int(field, value ? 1 : 0);
  }

  float(field: number, value: number): this {
    this.#varint(field * 8 + 5);
    this.#reserve(4);
    this.#length = this.#bytes.writeFloatLE(value, this.#length);
    return this;
  }

  bytes(field: number, value: Uint8Array | string): this {
    const data = typeof value === 'string' ? Buffer.from(value) : value;
    this.#varint(field * 8 + 2);
    this.#varint(data.length);
    this.#reserve(data.length);
    this.#bytes.set(data, this.#length);
    this.#length += data.length;
    return this;
  }

  /** A nested message: what `write` writes, with its length before it. */
  message(field: number, write: (writer: this) => void): this {
    this.#varint(field * 8 + 2);
    const at = this.#length;
    write(this);
    const size = this.#length - at;
    const prefix = varintBytes(size);
    this.#reserve(prefix);
    this.#bytes.copyWithin(at + prefix, at, this.#length);
    this.#length = at;
    this.#varint(size);
    this.#length += size;
    return this;
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  #varint(value: number): void {
    this.#reserve(10);
    let rest = value < 0 ? BigInt.asUintN(64, BigInt(value)) : BigInt(0);
    if (value < 0) {
      for (; rest > 127n; rest >>= 7n) this.#bytes[this.#length++] = Number(rest & 127n) | 128;
      this.#bytes[this.#length++] = Number(rest);
      return;
    }
    let whole = value;
    for (; whole > 127; whole = Math.floor(whole / 128)) this.#bytes[this.#length++] = (whole % 128) | 128;
    this.#bytes[this.#length++] = whole;
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}

function varintBytes(value: number): number {
  let count = 1;
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) count++;
  return count;
}
