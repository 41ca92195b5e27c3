import { AppError, WEBHOOK_EVENTS, WebhookDelivery, type WebhookEvent, type WebhookObject } from '@moraine/contract';
import {
  type Arguments,
  type Command,
  DATA_OPTION,
  integer,
  noMoreThan,
  oneOf,
  required,
  runAction,
  text,
} from '../args.js';
import { connect } from '../connect.js';
import { PAGE_OPTIONS, printList, readPages } from '../pages.js';
import { labelled, paint, print, table } from '../terminal.js';

const DELIVERY_STATUS = WebhookDelivery.shape.status.options;

export const webhooksCommand: Command = {
  name: 'webhooks',
  forms: [
    'create URL [--event NAME]... [--description TEXT]',
    'ls',
    'show ID',
    'update ID [--url URL] [--event NAME]... [--description TEXT] [--enable | --disable]',
    'delete ID',
    'rotate ID [--overlap SECONDS]',
    'test ID',
    'deliveries ID [--status NAME] [--limit N | --all] [--after ID]',
    'replay ID DELIVERY',
  ],
  examples: [
    'create https://ci.example.com/moraine --event fine_tuning.job.succeeded --event fine_tuning.job.failed',
    'deliveries wh_4f2k --json',
  ],
  options: {
    data: DATA_OPTION,
    url: { type: 'string', value: 'URL', help: 'Another address, for update.' },
    event: {
      type: 'string',
      value: 'NAME',
      help: `What it hears of, as often as needed; default all: ${WEBHOOK_EVENTS.join(', ')}.`,
    },
    description: { type: 'string', value: 'TEXT', help: 'What it is for.' },
    enable: { type: 'boolean', help: 'Send again, for update.' },
    disable: { type: 'boolean', help: 'Hear of nothing for now, for update.' },
    overlap: {
      type: 'string',
      value: 'SECONDS',
      help: 'How long deliveries are signed with the old secret too; default a day.',
    },
    status: { type: 'string', value: 'NAME', help: `Deliveries of this status only: ${DELIVERY_STATUS.join(', ')}.` },
    ...PAGE_OPTIONS,
    json: { type: 'boolean', help: 'What the API answered, as JSON.' },
  },
  run: (args) =>
    runAction(args, webhooksCommand, {
      create,
      ls: list,
      show,
      update,
      delete: remove,
      rotate,
      test,
      deliveries,
      replay,
    }),
};

const idOf = (args: Arguments, most = 2): string => {
  const id = required(args, 1, 'The id of the webhook', webhooksCommand);
  noMoreThan(args, most, webhooksCommand);
  return id;
};

/** Prints an answer: as JSON where that was asked for, else as `show` says it. */
function tell<T>(args: Arguments, answer: T, show: (answer: T) => string): void {
  print(args.options.json ? JSON.stringify(answer) : show(answer));
}

/** What was said of a webhook; the API refuses a wrong name of an event and lists the right ones. */
const settingsOf = (args: Arguments) => ({
  ...(args.repeated.event ? { events: args.repeated.event as WebhookEvent[] } : {}),
  ...(text(args, 'description') === undefined ? {} : { description: text(args, 'description') }),
});

const describe = (hook: WebhookObject): string =>
  labelled([
    ['webhook', hook.id],
    ['url', hook.url],
    ['hears of', hook.events.join(', ')],
    ['for', hook.description],
    ['state', hook.enabled ? 'enabled' : 'disabled'],
    ['secret', hook.secret ? `${hook.secret} (shown this once)` : null],
  ]);

async function create(args: Arguments): Promise<number> {
  const url = required(args, 1, 'The address', webhooksCommand);
  noMoreThan(args, 2, webhooksCommand);
  tell(args, await connect(args).call('createWebhook', { body: { url, ...settingsOf(args) } }), describe);
  return 0;
}

async function list(args: Arguments): Promise<number> {
  noMoreThan(args, 1, webhooksCommand);
  const { data } = await connect(args).call('listWebhooks');
  tell(args, data, (hooks) =>
    hooks.length === 0
      ? 'No webhooks yet. Register one with `moraine webhooks create URL`.'
      : table(
          [{ title: 'WEBHOOK' }, { title: 'STATE' }, { title: 'URL' }, { title: 'EVENTS' }],
          hooks.map(({ id, enabled, url, events }) => [id, enabled ? 'enabled' : 'disabled', url, events.join(', ')]),
        ),
  );
  return 0;
}

async function show(args: Arguments): Promise<number> {
  tell(args, await connect(args).call('getWebhook', { params: { id: idOf(args) } }), describe);
  return 0;
}

async function update(args: Arguments): Promise<number> {
  const id = idOf(args);
  const { enable, disable } = args.options;
  if (enable && disable)
    throw new AppError('invalid_request', '--enable and --disable contradict each other.', { hint: 'Give one.' });
  const url = text(args, 'url');
  const enabled = enable ? true : disable ? false : undefined;
  const body = { ...settingsOf(args), ...(url ? { url } : {}), ...(enabled === undefined ? {} : { enabled }) };
  if (Object.keys(body).length === 0)
    throw new AppError('invalid_request', 'There is nothing to change.', { hint: 'See moraine webhooks --help.' });
  tell(args, await connect(args).call('updateWebhook', { params: { id }, body }), describe);
  return 0;
}

async function remove(args: Arguments): Promise<number> {
  const answer = await connect(args).call('deleteWebhook', { params: { id: idOf(args) } });
  tell(args, answer, ({ id }) => `${id}: deleted`);
  return 0;
}

async function rotate(args: Arguments): Promise<number> {
  const query = { overlap_seconds: integer(args, 'overlap', 0, 604_800) };
  tell(args, await connect(args).call('rotateWebhook', { params: { id: idOf(args) }, query }), describe);
  return 0;
}

/** The status is 1 where nobody took it. */
async function test(args: Arguments): Promise<number> {
  const delivery = await connect(args).call('testWebhook', { params: { id: idOf(args) } });
  const last = delivery.log.at(-1);
  tell(args, delivery, () =>
    delivery.status === 'delivered'
      ? `Delivered: it answered ${last?.status_code} after ${last?.duration_ms} ms.`
      : paint('red', `Not delivered: ${last?.error}`),
  );
  return delivery.status === 'delivered' ? 0 : 1;
}

async function deliveries(args: Arguments): Promise<number> {
  const [id, status] = [idOf(args), oneOf(args, 'status', DELIVERY_STATUS)];
  const read = await readPages(args, 100, (client, page) =>
    client.call('listWebhookDeliveries', { params: { id }, query: { status, ...page } }),
  );
  return printList(args, read, tableOf, status === undefined ? 'Nothing was to be sent yet.' : `None is ${status}.`);
}

const tableOf = (all: WebhookDelivery[]): string =>
  table(
    [{ title: 'DELIVERY' }, { title: 'EVENT' }, { title: 'STATUS' }, { title: 'ATTEMPTS' }, { title: 'LAST' }],
    all.map((one) => [one.id, one.type, one.status, String(one.attempts), lastOf(one)]),
  );

const lastOf = ({ log }: WebhookDelivery): string => {
  const last = log.at(-1);
  return last ? (last.error ?? `${last.status_code} after ${last.duration_ms} ms`) : '';
};

async function replay(args: Arguments): Promise<number> {
  const id = idOf(args, 3);
  const delivery = required(args, 2, 'The id of the delivery', webhooksCommand);
  const answer = await connect(args).call('replayWebhookDelivery', { params: { id, delivery } });
  tell(args, answer, () => `${answer.id}: is sent again as ${answer.event_id}`);
  return 0;
}
