import { AppError, type ErrorCode } from '@moraine/contract';
import { EngineError, type EngineErrorCode } from '@moraine/engine';
import { describe, expect, it } from 'vitest';
import { failureOf } from '../src/index.js';

const appError = (code: ErrorCode) => new AppError(code, 'It went wrong.', { param: 'key', hint: 'Do this.' });
const coded = (code: string) => Object.assign(new Error(`${code}: no luck`), { code });

describe('what a run died of', () => {
  it.each<[ErrorCode, string]>([
    ['nan_loss', 'nan'],
    ['user_data', 'user_data'],
    ['invalid_file', 'user_data'],
    ['out_of_memory', 'oom'],
    ['storage', 'storage'],
    ['invalid_base', 'user_config'],
    ['checkpoint_mismatch', 'user_config'],
    ['no_target_matched', 'user_config'],
    ['invalid_value', 'user_config'],
    ['unsupported_format', 'user_config'],
    ['runtime_missing', 'user_config'],
    ['not_found', 'internal'],
  ])('an error %s has the cause %s, and keeps its code, sentence, hint and key', (code, cause) => {
    expect(failureOf(appError(code))).toEqual({
      cause,
      code,
      message: 'It went wrong. Do this.',
      param: 'key',
    });
  });

  it.each<[EngineErrorCode, string]>([
    ['out_of_memory', 'oom'],
    ['unsupported_in_mode', 'user_config'],
    ['weights_unreadable', 'user_config'],
    ['runtime_disk_full', 'storage'],
    ['run_failed', 'internal'],
  ])('a fault %s of the engine has the cause %s, with what to do', (code, cause) => {
    const failure = failureOf(new EngineError(code, 'The engine stopped.', 'Do that.'));
    expect(failure).toMatchObject({ cause, message: 'The engine stopped. Do that.', param: null });
  });

  it.each([
    'OOM when allocating tensor with shape[4096,32000]',
    'RESOURCE_EXHAUSTED: failed to allocate memory',
    'std::bad_alloc: Cannot allocate memory',
    'Array buffer allocation failed',
    'CUDA error: out of memory',
  ])('a library that says "%s" is out of memory, whatever it throws', (message) => {
    expect(failureOf(new Error(message))).toMatchObject({ cause: 'oom', code: 'out_of_memory' });
    expect(failureOf(message)).toMatchObject({ cause: 'oom' });
  });

  it('a word that only contains OOM is not out of memory', () => {
    expect(failureOf(new Error('the ROOM is full')).cause).toBe('internal');
  });

  it.each(['ENOSPC', 'EDQUOT', 'EIO', 'EROFS'])('a disk that says %s is the storage', (code) => {
    expect(failureOf(coded(code))).toMatchObject({ cause: 'storage', code: 'storage' });
  });

  it('another fault of the system is ours', () => {
    expect(failureOf(coded('EACCES'))).toMatchObject({ cause: 'internal', code: 'internal' });
  });

  it('what is thrown without being an error keeps its words', () => {
    expect(failureOf('a text')).toEqual({ cause: 'internal', code: 'internal', message: 'a text', param: null });
  });
});
