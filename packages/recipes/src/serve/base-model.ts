import type { Base } from '../base.js';
import type { Budget, Held } from './budget.js';
import { type ModelParts, modelBytes, type OpenModel, openForAnswers } from './open-model.js';
import type { RowKind } from './resident-adapter.js';

/** The base with room for adapters of some kinds in its rows; kinds are added while it answers. */
export interface BaseModel {
  /** The model that answers begin in now; null while one that does not fit beside it is opened. */
  current(): OpenModel | null;
  /** Resolves when there is one. */
  ready(): Promise<OpenModel>;
  /** The group of a kind in the current model; undefined where it has none. */
  groupOf(kind: RowKind): number | undefined;
  /**
   * Makes room for adapters of a kind: the model is traced anew with one group more. Answers under way go on in the one that they began in, which is
   * closed after them. Kinds that are not wanted any more are left out.
   */
  add(kind: RowKind, wanted: ReadonlySet<string>): Promise<void>;
  dispose(): void;
}

/** Opens the base with some kinds of adapters. @throws AppError `invalid_value` where it does not fit in memory. */
export async function openBaseModel(
  parts: ModelParts,
  { weights }: Base,
  first: readonly RowKind[],
  budget: Budget,
): Promise<BaseModel> {
  let isDisposed = false;
  const open = async (kinds: readonly RowKind[]): Promise<OpenModel> => {
    const model = await openForAnswers(
      parts,
      weights,
      kinds.map(({ adapter }) => adapter),
    );
    if (isDisposed) model.dispose();
    return model;
  };
  const bytesOf = (kinds: readonly RowKind[]): number =>
    modelBytes(
      parts.config,
      parts.plan,
      weights,
      kinds.map(({ adapter }) => adapter),
    );
  let kinds = distinct(first);
  const fix = (): void => budget.fix(bytesOf(kinds), 'The base with its caches');
  fix();
  let opened: OpenModel | null = await open(kinds);
  let opening: Promise<OpenModel> = Promise.resolve(opened);
  /** One change at a time. */
  let last: Promise<unknown> = opening;

  async function change(next: RowKind[]): Promise<void> {
    const before = kinds;
    const old = opened;
    const isBeside = budget.fits(bytesOf(next));
    if (old !== null && isBeside) {
      // Both are held until the old one has answered.
      const extra = busy(bytesOf(next));
      budget.hold(extra, 'the base with room for one more kind of adapter');
      try {
        opened = await open(next);
        kinds = next;
        fix();
        opening = Promise.resolve(opened);
      } catch (error) {
        budget.release(extra);
        throw error;
      }
      budget.release(extra);
      const retired = busy(bytesOf(before));
      budget.hold(retired, 'the base that still answers');
      void turn()
        .then(() => old.close())
        .then(() => budget.release(retired));
      return;
    }
    const more = busy(Math.max(0, bytesOf(next) - bytesOf(before)));
    budget.hold(more, 'one more kind of adapter');
    opened = null;
    const attempt = async (): Promise<OpenModel> => {
      await turn();
      await old?.close();
      try {
        const model = await open(next);
        kinds = next;
        budget.release(more);
        fix();
        return model;
      } catch (error) {
        failure = { error };
        return open(before);
      }
    };
    let failure: { error: unknown } | null = null;
    opening = attempt();
    opened = await opening;
    budget.release(more);
    if (failure !== null) throw (failure as { error: unknown }).error;
  }

  const groupOf = ({ key }: RowKind): number | undefined => {
    const place = kinds.findIndex((kind) => kind.key === key);
    return opened === null || place < 0 ? undefined : place;
  };
  return {
    current: () => opened,
    ready: () => opening,
    groupOf,
    add(kind, wanted) {
      const added = last.then(async () => {
        if (groupOf(kind) !== undefined) return;
        await change([...kinds.filter(({ key }) => wanted.has(key)), kind]);
      });
      last = added.catch(() => undefined);
      return added;
    },
    dispose: () => {
      isDisposed = true;
      opened?.dispose();
    },
  };
}

const distinct = (kinds: readonly RowKind[]): RowKind[] => [...new Map(kinds.map((kind) => [kind.key, kind])).values()];

/** After it, answers that were given their place in a model by now have begun in it. */
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

const busy = (bytes: number): Held => ({ bytes, isIdle: () => false, drop: () => undefined });
