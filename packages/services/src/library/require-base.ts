import { AppError, nearest } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { BaseModel } from '../ground/generated/models.js';

/** The base that a run asks for by name. @throws AppError `not_found` with the nearest name that exists. */
export async function requireBase(s: Services, actor: Actor, name: string): Promise<BaseModel> {
  const base = await s.db.base.findFirst({ where: { projectId: actor.projectId, name, deletedAt: null } });
  if (base) return base;
  if (name.startsWith('ft:')) {
    throw new AppError('invalid_value', `'${name}' was fine-tuned; this asks for a base model.`, {
      param: 'model',
      hint: `Take its base, '${name.split(':')[1] ?? ''}'.`,
    });
  }
  const bases = await s.db.base.findMany({
    where: { projectId: actor.projectId, deletedAt: null },
    select: { name: true },
    orderBy: { name: 'asc' },
    take: 1_000,
  });
  const names = bases.map((one) => one.name);
  const near = nearest(name, names);
  const known =
    names.length > 0
      ? `Registered: ${names.slice(0, 10).join(', ')}.`
      : 'None is registered: npx moraine models add NAME DIR.';
  throw new AppError('not_found', `No base model '${name}'.`, {
    param: 'model',
    hint: near ? `Did you mean '${near}'?` : known,
  });
}
