/**
 * Who leads a folder: one coordinator at a time, told apart by terms that only rise.
 *
 * A term is a file, `.lead/00000007.json`, that names its holder. It is made with `link`, which fails where there is one of
 * that name: of two that want the next term at once, one gets it. The holder touches its file a few times a second. It is
 * dead when its process is gone (seen at once, on the same machine) or when the touching has stopped (a frozen process,
 * another machine). No clocks are compared: only whether the time of the file changes while one looks.
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { RopeteamError } from '#training';
import { errorCodeOf, syncFolder, TEMPORARY, writeError, writeFileAtomically } from './atomic-file.js';

export interface Lead {
  readonly term: number;
  /** Refuses one whose place another has taken. @throws RopeteamError COORD.FENCED */
  check(): Promise<void>;
  /** Gives the folder free for whoever comes next. */
  release(): Promise<void>;
}

export interface LeadOptions {
  /** Told once that another has taken the lead: nothing may be written any more. */
  readonly onLost: (error: RopeteamError) => void;
  readonly beatMs?: number;
  /** So long without a touch, the holder counts as frozen. */
  readonly silenceMs?: number;
}

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When its process began, in the kernel's own count: a process id may be another's by now. Empty where unknown. */
  readonly began: string;
  readonly released: boolean;
}

const BEAT_MS = 500;
const SILENCE_MS = 3_000;
const LOOK_MS = 100;
const NAME = /^(\d{8,15})\.json$/;

/** Takes the lead of a folder. @throws RopeteamError COORD.HELD when another that is alive has it, STORAGE.WRITE */
export async function takeLead(folder: string, options: LeadOptions): Promise<Lead> {
  const directory = join(folder, '.lead');
  const began = await processBegan(process.pid);
  const holder: Holder = { pid: process.pid, host: hostname(), began: began ?? '', released: false };
  try {
    await mkdir(directory, { recursive: true });
    for (;;) {
      const newest = (await listTerms(directory)).at(-1) ?? 0;
      if (newest > 0) await requireDead(folder, directory, newest, options.silenceMs ?? SILENCE_MS);
      const term = newest + 1;
      if (await createTerm(directory, term, holder)) return await hold(directory, term, holder, options);
    }
  } catch (error) {
    throw error instanceof RopeteamError ? error : writeError(directory, error);
  }
}

async function hold(directory: string, term: number, holder: Holder, options: LeadOptions): Promise<Lead> {
  for (const older of await listTerms(directory))
    if (older < term) await rm(join(directory, nameOf(older)), { force: true });
  // By its handle, not its name: one that has lost its place touches nobody else's file.
  const file = await open(join(directory, nameOf(term)), 'r+');
  let over = false;
  const check = async (): Promise<void> => {
    const current = (await listTerms(directory)).at(-1) ?? 0;
    if (current > term) throw fenced(directory, term, current);
  };
  const beat = async (): Promise<void> => {
    if (over) return;
    await check();
    const now = new Date();
    await file.utimes(now, now);
  };
  const timer = setInterval(() => {
    beat().catch((error: unknown) => {
      if (over) return;
      over = true;
      clearInterval(timer);
      options.onLost(error instanceof RopeteamError ? error : writeError(directory, error));
    });
  }, options.beatMs ?? BEAT_MS);
  timer.unref();
  return {
    term,
    check,
    release: async () => {
      clearInterval(timer);
      if (!over) await writeFileAtomically(join(directory, nameOf(term)), [encode({ ...holder, released: true })]);
      over = true;
      await file.close();
    },
  };
}

/** False when another was faster. */
async function createTerm(directory: string, term: number, holder: Holder): Promise<boolean> {
  const temporary = join(directory, `${randomBytes(8).toString('hex')}${TEMPORARY}`);
  try {
    {
      await using file = await open(temporary, 'wx');
      await file.writeFile(encode(holder));
      await file.sync();
    }
    await link(temporary, join(directory, nameOf(term)));
    await syncFolder(directory);
    return true;
  } catch (error) {
    if (errorCodeOf(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Resolves once the holder of a term is seen to be dead, or another has its place. @throws COORD.HELD when it is alive */
async function requireDead(folder: string, directory: string, term: number, silenceMs: number): Promise<void> {
  const path = join(directory, nameOf(term));
  const touched = await touchedAt(path);
  const until = performance.now() + silenceMs;
  while (touched !== undefined) {
    const holder = await readHolder(path);
    if (holder === undefined || holder.released || (await isGone(holder))) return;
    if ((await touchedAt(path)) !== touched) throw held(folder, holder, term);
    if (performance.now() >= until) return;
    await delay(LOOK_MS);
  }
}

async function isGone({ pid, host, began }: Holder): Promise<boolean> {
  if (host !== hostname()) return false;
  const now = await processBegan(pid);
  if (now === undefined) return !isThere(pid);
  return began !== '' && now !== began;
}

/** Field 22 of /proc/PID/stat; undefined where there is no such process, or no such file system. */
async function processBegan(pid: number): Promise<string | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in brackets, which may hold anything.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    // A zombie holds nothing any more.
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT' || errorCodeOf(error) === 'ESRCH') return undefined;
    throw error;
  }
}

function isThere(pid: number): boolean {
  if (process.platform === 'linux') return false; // `processBegan` would have found it
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return errorCodeOf(error) === 'EPERM';
  }
}

async function listTerms(directory: string): Promise<readonly number[]> {
  const names = await readdir(directory);
  return names
    .flatMap((name) => NAME.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

async function touchedAt(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function readHolder(path: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Holder; // written whole by `encode`, before it had this name
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function encode(holder: Holder): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(holder)}\n`);
}

function nameOf(term: number): string {
  return `${String(term).padStart(8, '0')}.json`;
}

function held(folder: string, { pid, host }: Holder, term: number): RopeteamError {
  const message = `${folder} is led by the coordinator with process id ${pid} on ${host} (fence ${term}), which is alive`;
  return new RopeteamError('COORD.HELD', { folder, pid, host, fence: term }, message, {
    hint: 'work with that one, end it, or choose another folder with --out',
  });
}

function fenced(directory: string, term: number, current: number): RopeteamError {
  const message = `fence ${term} may no longer write to ${directory}: another coordinator holds fence ${current}`;
  return new RopeteamError('COORD.FENCED', { held: term, current }, message, {
    hint: 'nothing is to be done: the run goes on there',
  });
}
