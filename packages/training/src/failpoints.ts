/**
 * Named places at which tests make a process die, freeze or fail. Off unless `armFailpoints` was called, which services do when
 * `ROPETEAM_FAILPOINTS` says so, and never in production.
 *
 * Module state, unlike everything else here: the places are all over the program, and what they do concerns the process.
 */
import { RopeteamError } from './errors.js';

/** Every place, by the service it is in, with what is true when it is passed. */
export const FAILPOINTS = {
  coordinator: {
    'after-lock': 'The runs folder is this coordinator’s; nothing was read of it yet.',
    'during-recovery-scan': 'One run that did not end was found and put into the queue; others may follow.',
    'after-upload-kept': 'A submission’s files lie in its run’s folder; the submission itself is not yet written down.',
    'after-submission-kept': 'A submission is written down; its sender was not answered yet.',
    'before-data-info': 'The shards of a run are written; the file that vouches for them is not.',
    'after-fence': 'A new fence is durable in the run’s folder; nothing was done with it.',
    'after-ledger-cut': 'The ledger was cut back to the checkpoint’s step.',
    'after-checkpoint-loaded': 'Weights and optimizer state of the checkpoint are in memory.',
    'worker-handshake': 'A worker said hello and was not welcomed yet.',
    'before-announce': 'Items are about to be put into the queues.',
    'after-announce': 'Items were put into the queues.',
    'before-broadcast': 'A new weight version is encoded; no worker was sent any of it.',
    'mid-broadcast': 'A new weight version went to one worker; others still lack it.',
    'after-first-gradient': 'The first gradient or lease of a step is in.',
    'before-average': 'Every block of a step is in; nothing was folded yet.',
    'after-average': 'Weights and optimizer state are updated; the step is not committed.',
    'after-commit': 'A step is committed and its weights are on their way; it is not in the ledger.',
    'after-adopt': 'What a lease left behind is the run’s own; its steps are not in the ledger.',
    'after-ledger-append': 'A step’s record is on its way to the ledger’s file.',
    'after-log-write': 'Lines of ledger or events are with the operating system; nobody was told.',
    'epoch-change': 'An epoch was judged.',
    'before-checkpoint': 'A checkpoint is due; its memory is copied.',
    'mid-checkpoint': 'Half of an atomic write is in its temporary file.',
    'before-rename': 'A temporary file is whole and on the disk; its name is not its own yet.',
    'after-rename': 'A file has its name; the folder is not on the disk.',
    'before-retention': 'A checkpoint is saved; those that need not stay are still there.',
    'mid-retention': 'One checkpoint was deleted.',
    'during-evaluation': 'A part of a split was measured.',
    'before-model': 'The last checkpoint is saved; the model is not.',
    'after-model': 'The model is saved; the run’s end was not told.',
    'before-piece-copied': 'A piece of a run’s file is about to be sent to object storage.',
    'before-manifest': 'Every piece of a run’s copy is in object storage; the manifest that names them is not.',
    'after-manifest': 'A run’s copy has a new manifest; what only the one before it named is still there.',
    'before-piece-fetched': 'A piece of a run’s copy has come back and is in order; it is not in its file yet.',
    'before-cleanup': 'The run’s end is in its events; its prepared data is still there.',
  },
  worker: {
    'worker-before-hello': 'About to connect to the coordinator.',
    'worker-run-joined': 'Ready for a run; it has not said so.',
    'worker-mid-weights': 'A part of a weight version is here.',
    'worker-taken-untold': 'A job was taken; the coordinator does not know who has it.',
    'worker-job-taken': 'A job was taken and told of; nothing was computed.',
    'worker-after-compute': 'A gradient is computed; nothing of it was sent.',
    'worker-after-upload': 'A result went out; the queue was not told.',
    'worker-lease-computed': 'A lease is computed; nothing of it was sent.',
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, string>>>>;

export type FailpointName = keyof typeof FAILPOINTS.coordinator | keyof typeof FAILPOINTS.worker;

/** What becomes of the process: SIGKILL, SIGSTOP, an event loop that stands still, an error nobody catches. */
export const MISFORTUNES = ['kill', 'stop', 'stall', 'throw', 'reject'] as const;
export type Misfortune = (typeof MISFORTUNES)[number];

type Action = Misfortune | 'flip';
const ACTIONS: readonly Action[] = [...MISFORTUNES, 'flip'];

interface Armed {
  readonly hit: number;
  readonly action: Action;
}

let armed: { readonly points: ReadonlyMap<string, Armed>; readonly act: (action: Misfortune) => void } | undefined;
const hits = new Map<string, number>();

/** Passes a place. Costs one comparison while nothing is armed. */
export function failpoint(name: FailpointName): void {
  if (armed !== undefined) pass(name, armed);
}

/** Whether what is computed at this place is to be made wrong: a test's worker with a broken memory. */
export function spoils(name: FailpointName): boolean {
  if (armed === undefined) return false;
  const point = armed.points.get(name);
  return point?.action === 'flip' && (hits.get(name) ?? 0) >= point.hit;
}

/**
 * Arms places for the rest of this process: `after-average:3:kill,before-rename:1:stop`: name, which time it is passed (from
 * 1), and what happens then. `flip` makes a worker compute wrong from then on, see `spoils`.
 * @param act does it to this process, at once
 * @throws RopeteamError USAGE.ARGUMENT for a name that is not in the list, and anywhere in production
 */
export function armFailpoints(text: string, production: boolean, act: (action: Misfortune) => void): void {
  if (production) throw refused('is for tests, and refused where NODE_ENV is production');
  const points = new Map<string, Armed>();
  for (const one of text.split(',')) {
    const [name = '', hit = '1', word = 'kill', ...more] = one.trim().split(':');
    if (!isFailpoint(name)) throw refused(`names ${JSON.stringify(name)}, which is no failpoint`);
    const action = ACTIONS.find((known) => known === word);
    if (!/^[1-9]\d{0,8}$/.test(hit) || action === undefined || more.length > 0)
      throw refused(`has ${JSON.stringify(one)}, expected name:time:action, action one of ${ACTIONS.join(', ')}`);
    points.set(name, { hit: Number(hit), action });
  }
  armed = { points, act };
}

function pass(name: FailpointName, { points, act }: NonNullable<typeof armed>): void {
  const point = points.get(name);
  if (point === undefined) return;
  const count = (hits.get(name) ?? 0) + 1;
  hits.set(name, count);
  if (count === point.hit && point.action !== 'flip') act(point.action);
}

function isFailpoint(name: string): name is FailpointName {
  return Object.hasOwn(FAILPOINTS.coordinator, name) || Object.hasOwn(FAILPOINTS.worker, name);
}

function refused(why: string): RopeteamError {
  return new RopeteamError('USAGE.ARGUMENT', { argument: 'ROPETEAM_FAILPOINTS' }, `ROPETEAM_FAILPOINTS ${why}`, {
    hint: 'unset ROPETEAM_FAILPOINTS',
  });
}
