const LETTERS = ' etaoinshrdlucmfwypvbgkqjxz0123456789ETAOINSHRDLUCMFWYPVBGKQJXZ.,:;?!+-=\n';

/** The tokenizer files of a base whose vocabulary has `size` tokens: an end token, an unknown token, and a letter each. */
export function smallTokenizer(size: number): Record<'tokenizer.json' | 'tokenizer_config.json', string> {
  const tokens = ['</s>', '<unk>', ...LETTERS].slice(0, size);
  const added = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return {
    'tokenizer.json': JSON.stringify({
      version: '1.0',
      added_tokens: tokens.slice(0, 2).map((content, id) => ({ id, content, ...added })),
      model: {
        type: 'BPE',
        unk_token: '<unk>',
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
        merges: [],
      },
    }),
    'tokenizer_config.json': JSON.stringify({ eos_token: '</s>' }),
  };
}
