import { createLoginLink, endSessions } from '@moraine/services';
import { SESSION_COOKIE } from '../plugins/access.js';
import { analysisHandlers } from './analyses.js';
import type { Handlers } from './bind.js';
import { evaluationHandlers } from './evaluations.js';
import { experimentHandlers } from './experiments.js';
import { fileHandlers } from './files.js';
import { fineTuningHandlers } from './fine-tuning.js';
import { modelHandlers } from './models.js';
import { runHandlers } from './runs.js';
import { servingHandlers } from './serving.js';
import { uploadHandlers } from './uploads.js';
import { webhookHandlers } from './webhooks.js';
import { workerHandlers } from './workers.js';

const accessHandlers: Handlers<'createLoginLink' | 'signOut'> = {
  async createLoginLink({ s, env, actor, request }) {
    const { token, expiresAt } = await createLoginLink(s, actor);
    const origin = env.publicUrl ?? `${request.protocol}://${request.host}`;
    return {
      object: 'login_link',
      url: `${origin}/login?token=${encodeURIComponent(token)}`,
      expires_at: Math.floor(expiresAt.getTime() / 1000),
    };
  },
  async signOut({ s, actor, request, reply }) {
    const session = actor.keyId === null ? (request.cookies[SESSION_COOKIE] ?? null) : null;
    const ended = await endSessions(s, actor, session);
    reply.clearCookie(SESSION_COOKIE, { path: '/' });
    return { object: 'sign_out', ended };
  },
};

/** A handler for every route of the contract's table; each checks nothing, calls its verb and returns its result. */
export const handlers: Handlers = {
  ...experimentHandlers,
  ...fileHandlers,
  ...fineTuningHandlers,
  ...modelHandlers,
  ...runHandlers,
  ...servingHandlers,
  ...evaluationHandlers,
  ...analysisHandlers,
  ...uploadHandlers,
  ...webhookHandlers,
  ...workerHandlers,
  ...accessHandlers,
};
