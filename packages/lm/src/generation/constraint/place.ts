/** A place in a text that follows a grammar, read byte by byte. */
export interface Place {
  /** The text is complete here, and nothing follows. */
  readonly isEnd: boolean;
  /** Where a byte leads; null where it cannot follow. The same byte leads to the same place each time. */
  step(byte: number): Place | null;
}

/** A place that remembers where bytes led. */
export function place(isEnd: boolean, follow: (byte: number) => Place | null): Place {
  const known: (Place | null | undefined)[] = Array(256).fill(undefined);
  return {
    isEnd,
    step(byte) {
      const before = known[byte];
      if (before !== undefined) return before;
      const next = follow(byte);
      known[byte] = next;
      return next;
    },
  };
}

/** One of some texts, none of which another begins with. */
export function oneOf(texts: readonly string[]): Place {
  const from = (left: readonly Uint8Array[], at: number): Place =>
    place(
      left.some((bytes) => bytes.length === at),
      (byte) => {
        const fitting = left.filter((bytes) => bytes[at] === byte);
        return fitting.length === 0 ? null : from(fitting, at + 1);
      },
    );
  const encoder = new TextEncoder();
  return from(
    texts.map((text) => encoder.encode(text)),
    0,
  );
}

/** Texts of several grammars one behind the other. */
export function chain(parts: readonly Place[]): Place {
  const known = parts.map(() => new Map<Place, Place>());
  const at = (part: number, inner: Place): Place => {
    const next = parts[part + 1];
    if (inner.isEnd && next !== undefined) return at(part + 1, next);
    const before = known[part]?.get(inner);
    if (before !== undefined) return before;
    const made = place(inner.isEnd, (byte) => {
      const after = inner.step(byte);
      return after === null ? null : at(part, after);
    });
    known[part]?.set(inner, made);
    return made;
  };
  const [first] = parts;
  if (first === undefined) throw new RangeError('a chain of no parts');
  return at(0, first);
}
