import { AppError } from '@moraine/contract';
import { isNamedTemplate } from '@moraine/data';

/** What a base may consist of: weights as safetensors, small text beside them, and SentencePiece's tokenizer.model, which is data. */
const TAKEN = /^[A-Za-z0-9][A-Za-z0-9._-]*\.(safetensors|json|jinja|txt|md|model)$|^(LICENSE|NOTICE|README)$/;
/** Formats that run code when they are opened, or may. */
const PICKLED = /\.(bin|pt|pth|ckpt|pkl|pickle|npy|npz|h5|keras|joblib)$/i;

/** @throws AppError `invalid_base` for a file that a base may not have; ask before its bytes arrive. */
export function assertBaseFilename(filename: string): void {
  if (PICKLED.test(filename)) {
    throw new AppError(
      'invalid_base',
      `${filename} may hold pickled Python objects, which can run code when they are opened.`,
      {
        param: 'files',
        hint: 'Only safetensors weights are taken. transformers writes them with save_pretrained(dir, safe_serialization=True).',
      },
    );
  }
  if (!(TAKEN.test(filename) || isNamedTemplate(filename)) || filename.length > 128) {
    throw new AppError('invalid_base', `A file named '${filename.slice(0, 128)}' is not part of a base model.`, {
      param: 'files',
      hint: 'Send config.json, tokenizer.json, tokenizer_config.json, generation_config.json and the .safetensors files, without folders; of folders only additional_chat_templates/NAME.jinja is taken.',
    });
  }
}
