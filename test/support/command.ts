/** The built `ropeteam` as a process, as a user runs it, with its events and everything it starts accounted for. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { RunEvent } from '#training';

const MAIN = fileURLToPath(new URL('../../cli/src/main.js', import.meta.url));
export const CHECKOUT = fileURLToPath(new URL('../../../', import.meta.url));

export interface EndedCommand {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCommand extends AsyncDisposable {
  readonly process: ChildProcess;
  readonly ended: Promise<EndedCommand>;
  /** The events printed so far (`--json`). */
  readonly events: readonly RunEvent[];
  /** Resolves with the first line of stdout, past or coming, that `choose` takes; rejects when the command ends before. */
  line(choose: (line: string) => boolean): Promise<string>;
  /** The same for events. */
  event<Name extends RunEvent['event']>(
    name: Name,
    choose?: (event: NamedEvent<Name>) => boolean,
  ): Promise<NamedEvent<Name>>;
  /** Process ids that this command started, directly or not, and that are alive now. Linux. */
  offspring(): Promise<readonly number[]>;
}

export type NamedEvent<Name extends RunEvent['event']> = Extract<RunEvent, { event: Name }>;

/**
 * Starts `ropeteam` with these words. Disposing it ends it and everything it started.
 * @param cwd its folder; default: the checkout
 */
export function startCommand(
  words: readonly string[],
  variables: Readonly<Record<string, string>> = {},
  cwd: string = CHECKOUT,
): RunningCommand {
  // Every process that comes of this one has the mark in its environment, whatever group or parent it has by then.
  const mark = randomUUID();
  const child = spawn(process.execPath, [MAIN, ...words], {
    cwd,
    env: { ...process.env, ROPETEAM_TEST_MARK: mark, ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const events: RunEvent[] = [];
  const watchers = new Set<() => void>();
  let stderr = '';
  let over = false;
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  createInterface({ input: child.stdout }).on('line', (text) => {
    lines.push(text);
    if (text.startsWith('{"') && text.includes('"event":')) events.push(JSON.parse(text) as RunEvent);
    for (const look of watchers) look();
  });
  const ended = new Promise<EndedCommand>((resolve) => {
    child.once('close', (code, signal) => {
      over = true;
      for (const look of watchers) look();
      resolve({ code, signal, stdout: lines.map((text) => `${text}\n`).join(''), stderr });
    });
  });
  const found = <Value>(what: string, find: () => Value | undefined): Promise<Value> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const value = find();
        if (value === undefined && !over) return;
        watchers.delete(look);
        if (value === undefined) reject(new Error(`the command ended without ${what}; its stderr:\n${stderr}`));
        else resolve(value);
      };
      watchers.add(look);
      look();
    });
  const offspring = (): Promise<readonly number[]> => processesWith(mark, child.pid);
  return {
    process: child,
    ended,
    events,
    line: (choose) => found('such a line', () => lines.find(choose)),
    event: <Name extends RunEvent['event']>(name: Name, choose: (event: NamedEvent<Name>) => boolean = () => true) =>
      found(name, () =>
        events.find((event): event is NamedEvent<Name> => event.event === name && choose(event as NamedEvent<Name>)),
      ),
    offspring,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await ended;
      for (const pid of await offspring()) process.kill(pid, 'SIGKILL');
    },
  };
}

/** Runs `ropeteam` to its end. */
export async function runCommand(
  words: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<EndedCommand> {
  await using command = startCommand(words, variables);
  return await command.ended;
}

/** Process ids that are alive and have this mark in their environment, one left out. Linux. */
export async function processesWith(mark: string, except: number | undefined): Promise<readonly number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const marked = await Promise.all(
    pids.map(async (pid) => {
      try {
        const environment = await readFile(`/proc/${pid}/environ`, 'utf8');
        return environment.includes(`ROPETEAM_TEST_MARK=${mark}`) && !(await isZombie(pid));
      } catch {
        return false; // gone, or somebody else's
      }
    }),
  );
  return pids.filter((pid, index) => marked[index] === true && pid !== except);
}

/** Ended, but not yet asked after by its parent. */
async function isZombie(pid: number): Promise<boolean> {
  return /^State:\s+Z/m.test(await readFile(`/proc/${pid}/status`, 'utf8'));
}
