import { newId } from '@moraine/contract';
import type { Services } from '../ground/context.js';

const NAME = 'default';

/** The project that a fresh installation works in. Any number may ask at once; one row results. */
export async function ensureDefaultProject(s: Services): Promise<{ id: string; name: string }> {
  await s.pg.query('INSERT INTO projects (id, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING', [
    newId('project'),
    NAME,
  ]);
  return s.db.project.findUniqueOrThrow({ where: { name: NAME }, select: { id: true, name: true } });
}
