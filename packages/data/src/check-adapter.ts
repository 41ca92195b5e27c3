import { type AdapterConfig, AppError } from '@moraine/contract';
import {
  CHECKED_BYTES,
  headerBytesFor,
  linearShapes,
  parseModelConfig,
  refuseNonFinite,
  requireForm,
  storedAdapter,
} from '@moraine/contract/plan';
import { SafetensorsError, type SafetensorsHeader } from '@moraine/contract/safetensors';
import { type StoredFile, StoredFolder } from './stored-folder.js';

export interface AdapterToCheck {
  files: readonly StoredFile[];
  /** The file of the adapter's configuration, and what is in it. */
  configName: string;
  json: Record<string, unknown>;
  /** config.json of the base that it is for. */
  baseConfig: unknown;
}

const FLOATS = ['F64', 'F32', 'F16', 'BF16'];
/** No form stores more tensors of a layer; modules that were trained whole, and biases, are among them. */
const TENSORS_A_LAYER = 8;

/**
 * Holds the folder of an adapter against its base as training will: the name and shape of each tensor, and its numbers.
 * @throws AppError `unsupported_format` for what cannot be trained on, `invalid_value` for an adapter of another base.
 */
export function checkAdapter({ files, configName, json, baseConfig }: AdapterToCheck): AdapterConfig {
  const folder = new StoredFolder(files, 'unsupported_format');
  const { weightsName } = requireForm(configName, json, configName);
  if (!folder.names.includes(weightsName))
    throw new AppError('unsupported_format', `The upload has no ${weightsName}.`, {
      param: 'files',
      hint: `Save the adapter as safetensors (PEFT: save_pretrained does); ${files.length} files came: ${folder.names.slice(0, 10).join(', ')}.`,
    });
  const base = parseModelConfig(baseConfig);
  const header = readHeader(folder, weightsName, headerBytesFor(TENSORS_A_LAYER * linearShapes(base).length));
  const shapes = new Map(header.entries.map(({ name, shape }) => [name, shape]));
  const config = storedAdapter({ configName, file: configName, json, shapes }, base);
  refuseBadNumbers(folder, weightsName, header);
  return config;
}

function readHeader(folder: StoredFolder, file: string, bytesMax: number): SafetensorsHeader {
  try {
    return folder.header(file, bytesMax);
  } catch (cause) {
    if (!(cause instanceof SafetensorsError)) throw cause;
    throw new AppError('unsupported_format', `${file} is not a valid safetensors file: ${cause.message}.`, {
      param: file,
      hint: 'Send it again, or save the adapter anew.',
      cause,
    });
  }
}

function refuseBadNumbers(folder: StoredFolder, file: string, { entries, dataStart }: SafetensorsHeader): void {
  for (const entry of entries) {
    if (!FLOATS.includes(entry.dtype))
      throw new AppError(
        'unsupported_format',
        `${file}: ${entry.name} is stored as ${entry.dtype}, which is none of ${FLOATS.join(', ')}.`,
        {
          param: file,
          hint: 'Save the adapter in float32, float16 or bfloat16.',
        },
      );
    let from = 0;
    for (const piece of folder.pieces(file, dataStart + entry.begin, dataStart + entry.end, CHECKED_BYTES)) {
      refuseNonFinite(entry, piece, from);
      from += piece.length;
    }
  }
}
