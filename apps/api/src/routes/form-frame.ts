import { isUtf8 } from 'node:buffer';
import { AppError } from '@moraine/contract';

const HEAD_BYTES_MAX = 16 * 1024;
const CRLF = Buffer.from('\r\n');
const HEAD_END = Buffer.from('\r\n\r\n');
/** Encodings that the parser of forms knows beside UTF-8; a name or value in any other is read as UTF-8. */
const OTHER_ENCODING =
  /^(latin-?1|(us-)?ascii|iso-?_?8859-1(:1987)?|windows-1252|(x-)?cp1252|utf-?16le|ucs-?2|base64)$/i;

/** A text in quotation marks, to be passed over; or a parameter as RFC 5987 has it, `filename*=utf-8''a%20b`. */
const EXTENDED = /"(?:\\.|[^"\\\r\n]|\r\n[ \t])*"?|\*\s{0,9}=\s{0,9}([\w:-]{0,40})'[\w-]{0,40}'([^;\r\n]*)/g;

/** Whether what a head escapes in its names is UTF-8, where it does not say that it is something else. */
const hasWholeNames = (head: string): boolean =>
  [...head.matchAll(EXTENDED)].every(([, encoding = '', escaped = '']) => {
    const bytes = escaped.replaceAll(/%([0-9a-f]{2})/gi, (_all, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
    return OTHER_ENCODING.test(encoding) || isUtf8(Buffer.from(bytes, 'latin1'));
  });

const notUtf8 = (what: string, param: string | undefined): AppError =>
  new AppError('invalid_value', `The ${what} holds bytes that are not UTF-8.`, {
    param,
    hint: 'Encode it as UTF-8; a character cut in two is none.',
  });

/**
 * Watches the bytes of a form beside its parser, which puts U+FFFD where a name or a value is not UTF-8. Each piece must be seen before the parser
 * gets it. Of files nothing but the head of their part is looked at.
 */
export class FormFrame {
  /** The first name or value that is not UTF-8. */
  fault: AppError | null = null;
  private readonly boundary: Buffer;
  private left: Buffer = CRLF;
  /** The bytes of an open head before those that are left: searched, in pieces. */
  private head: Buffer[] = [];
  private headBytes = 0;
  private isHead = false;
  /** Whether the boundary has come that ends the form. */
  private isOver = false;
  /** Of the value that is being read; null in files and before the first part. */
  private value: { decoder: InstanceType<typeof TextDecoder>; name: string | undefined } | null = null;

  constructor(contentType: string) {
    const [, quoted, plain] = /[;\s]boundary\s*=\s*(?:"([^"]*)"|([^;\s]*))/i.exec(contentType) ?? [];
    this.boundary = Buffer.from(`\r\n--${quoted ?? plain ?? ''}`, 'latin1');
  }

  see(piece: Buffer): void {
    if (this.isOver || this.fault) return;
    this.left = Buffer.concat([this.left, piece]);
    while (!this.isOver && (this.isHead ? this.readHead() : this.readBody()));
  }

  /** Reads to the end of a part's body; false where more must come. */
  private readBody(): boolean {
    const end = this.left.indexOf(this.boundary);
    if (end < 0) {
      this.take(Math.max(0, this.left.length - this.boundary.length + 1));
      return false;
    }
    this.take(end);
    const behind = this.boundary.length;
    if (this.left.length < behind + 2) return false;
    this.endValue();
    this.isOver = this.left.toString('latin1', behind, behind + 2) === '--';
    this.left = this.left.subarray(behind);
    this.isHead = true;
    return true;
  }

  /** Reads the head of a part, whose last line end stays: a boundary may begin with it. False where more must come. */
  private readHead(): boolean {
    const end = this.left.indexOf(HEAD_END);
    const next = this.left.indexOf(this.boundary);
    const isCut = next >= 0 && (end < 0 || next < end);
    const isOpen = !isCut && end < 0;
    // What may be the beginning of either stays.
    const ahead = Math.max(HEAD_END.length, this.boundary.length) - 1;
    this.collectHead(isOpen ? Math.max(0, this.left.length - ahead) : isCut ? next : end);
    if (this.headBytes > HEAD_BYTES_MAX)
      this.fault = new AppError('invalid_request', `The head of a part is longer than ${HEAD_BYTES_MAX} bytes.`);
    if (isOpen || this.fault) return false;
    const head = Buffer.concat(this.head);
    if (!isCut) this.left = this.left.subarray(CRLF.length);
    this.head = [];
    this.headBytes = 0;
    this.isHead = false;
    this.checkHead(head);
    return true;
  }

  private collectHead(count: number): void {
    this.head.push(this.left.subarray(0, count));
    this.headBytes += count;
    this.left = this.left.subarray(count);
  }

  private checkHead(head: Buffer): void {
    const text = head.toString('latin1');
    const [, named] = /[;\s]name="([\x20-\x7e]*?)"/i.exec(text) ?? [];
    if (!isUtf8(head) || !hasWholeNames(text))
      this.fault ??= notUtf8('name of a part of the form, or of its file,', named);
    const [, encoding = 'utf-8'] = /charset\s*=\s*"?([^\s;"]+)/i.exec(text) ?? [];
    const isText = !/[;\s]filename\*?\s*=|octet-stream/i.test(text) && !OTHER_ENCODING.test(encoding);
    this.value = isText ? { decoder: new TextDecoder('utf-8', { fatal: true }), name: named } : null;
  }

  /** Passes over bytes of a body; those of a value must be UTF-8. */
  private take(count: number): void {
    const bytes = this.left.subarray(0, count);
    this.left = this.left.subarray(count);
    this.checkValue(bytes);
  }

  private endValue(): void {
    this.checkValue();
    this.value = null;
  }

  /** Takes the next bytes of a value, or its end. */
  private checkValue(bytes?: Buffer): void {
    if (this.value === null || this.fault) return;
    try {
      this.value.decoder.decode(bytes, { stream: bytes !== undefined });
    } catch {
      this.fault = notUtf8('value of a field', this.value.name);
    }
  }
}
