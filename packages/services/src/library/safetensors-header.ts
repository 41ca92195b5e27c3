import { headerEnd, parseHeader, SafetensorsError, type SafetensorsHeader } from '@moraine/contract/safetensors';

/** Reads bytes `[start, end]` of a file, both included. */
export type ReadRange = (start: number, end: number) => Promise<Buffer>;

/** Reads the header of a stored safetensors file, or what is wrong with it. No tensor is read. */
export async function readHeader(sizeBytes: number, read: ReadRange): Promise<SafetensorsHeader | SafetensorsError> {
  try {
    if (sizeBytes === 0) return parseHeader(new Uint8Array(), 0);
    const end = headerEnd(await read(0, Math.min(7, sizeBytes - 1)), sizeBytes);
    return parseHeader(await read(0, end - 1), sizeBytes);
  } catch (error) {
    if (error instanceof SafetensorsError) return error;
    throw error;
  }
}
