/** One service as a process of its own: started, awaited until ready, stopped, and never left behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type ErrorEnvelope, fromEnvelope, RopeteamError } from '#training';
import { readableLogLine } from './log-line.js';

export type ServiceKind = 'coordinator' | 'worker';

export interface ServiceOptions {
  readonly kind: ServiceKind;
  /** For people: `coordinator`, `w0`. */
  readonly name: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Every line the process writes, as it stands. */
  onLog?(line: string): void;
  /** The program to run instead of the service of this kind. */
  readonly script?: string;
  readonly readyTimeoutMs?: number;
}

export interface ServiceExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What a service says once it serves: a coordinator its addresses, a worker only that. */
export interface ReadyMessage {
  readonly grpc?: string;
  readonly http?: string;
}

export interface ServiceProcess {
  readonly name: string;
  readonly pid: number;
  readonly ready: ReadyMessage;
  /** Resolves when the process is gone, however it went. */
  readonly exited: Promise<ServiceExit>;
  /** The error it said it ends with, once it did. */
  failure(): RopeteamError | undefined;
  /** The newest lines of its log, for an error message. */
  lastLogLines(): readonly string[];
  /** SIGTERM, then SIGKILL when it is still there after `graceMs`. */
  stop(graceMs: number): Promise<ServiceExit>;
  /** Sends a signal; false when the process is gone already. */
  signal(signal: NodeJS.Signals): boolean;
  /** SIGKILL, now. */
  kill(): void;
}

/** Loading Node, gRPC and the kernel takes half a second; a loaded machine may need ten times that. */
const READY_TIMEOUT_MS = 30_000;
const KEPT_LOG_LINES = 200;
const SHOWN_LOG_LINES = 8;

/**
 * Starts a service and resolves when it is ready. Throws what the service itself reported, or `ENVIRONMENT.PROCESS` with
 * its last log lines when it ended or stayed silent. Nothing is left running on a throw.
 */
export async function startService(options: ServiceOptions, signal: AbortSignal): Promise<ServiceProcess> {
  signal.throwIfAborted();
  const script = options.script ?? scriptOf(options.kind);
  if (!existsSync(script)) {
    throw new RopeteamError('ENVIRONMENT.PROCESS', { process: options.name }, `${script} is not there`, {
      hint: 'build the project: npm run build',
    });
  }
  const child = spawn(process.execPath, ['--enable-source-maps', script, ...options.args], {
    env: { ...options.environment },
    // The IPC channel says when the service is ready, and its end tells the service that we are gone.
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // A group of its own: a Ctrl-C in the terminal reaches only us, and we stop the parts in order.
    detached: true,
  });
  const log = collectLog(child, options);
  const exited = new Promise<ServiceExit>((resolve) => {
    child.once('exit', (code, signalName) => resolve({ code, signal: signalName }));
    // A process that could not be started has no exit.
    child.once('error', () => resolve({ code: null, signal: null }));
  });
  let failure: RopeteamError | undefined;
  child.on('message', (message) => {
    const word = asServiceWord(message);
    if (word?.event === 'failed') failure = fromEnvelope(word.error);
  });
  const kill = (): void => void child.kill('SIGKILL');
  const forget = killAtExit(kill);
  void exited.then(forget);
  try {
    const ready = await readiness(child, exited, options, log, signal);
    return {
      name: options.name,
      pid: child.pid ?? 0,
      ready,
      exited,
      failure: () => failure,
      lastLogLines: () => lastWordsOf(log),
      signal: (signalName) => child.kill(signalName),
      stop: (graceMs) => stopChild(child, exited, graceMs),
      kill,
    };
  } catch (error) {
    kill();
    await exited;
    throw error;
  }
}

/** The compiled entry point of a service. A path, not an import: services run in processes of their own. */
export function scriptOf(kind: ServiceKind): string {
  const urls = {
    coordinator: new URL('../../../services/coordinator/src/main.js', import.meta.url),
    worker: new URL('../../../services/worker/src/main.js', import.meta.url),
  } as const;
  return fileURLToPath(urls[kind]);
}

/** A sentence on how a process ended. */
export function describeExit(exit: ServiceExit): string {
  if (exit.signal !== null) return `was ended by ${exit.signal}`;
  return exit.code === null ? 'could not be started' : `ended with exit code ${exit.code}`;
}

/** `ENVIRONMENT.PROCESS` for a process that ended when it should not have. */
export function unexpectedExit(name: string, exit: ServiceExit, when: string, lines: readonly string[]): RopeteamError {
  if (lines.some((line) => HEAP_EXHAUSTED.test(line))) return outOfMemory(name, exit, when);
  const log = lines.length === 0 ? '' : `\n  its last words:\n${lines.map((line) => `    ${line}`).join('\n')}`;
  return new RopeteamError('ENVIRONMENT.PROCESS', { process: name }, `${name} ${describeExit(exit)} ${when}${log}`, {
    hint: 'run `ropeteam doctor` to check this machine, or repeat with --verbose to see every log line',
  });
}

/** What V8 says before it aborts the process. */
const HEAP_EXHAUSTED = /JavaScript heap out of memory|Out of memory: /;

/** The newest lines, and what V8 said before the native stack it prints at its end. */
function lastWordsOf(log: readonly string[]): readonly string[] {
  const newest = log.slice(-SHOWN_LOG_LINES);
  const exhausted = log.find((line) => HEAP_EXHAUSTED.test(line));
  const lines = exhausted === undefined || newest.includes(exhausted) ? newest : [exhausted, ...newest];
  return lines.map(readableLogLine);
}

function outOfMemory(name: string, exit: ServiceExit, when: string): RopeteamError {
  const message = `${name} ran out of memory ${when} (it ${describeExit(exit)})`;
  return new RopeteamError('ENVIRONMENT.PROCESS', { process: name }, message, {
    hint: 'use fewer workers or threads on this machine, a smaller batch, or give Node more: NODE_OPTIONS=--max-old-space-size=MB',
  });
}

/** The service's first word: ready, or the error that stopped it. Its exit and our patience count as answers too. */
function readiness(
  child: ChildProcess,
  exited: Promise<ServiceExit>,
  options: ServiceOptions,
  log: readonly string[],
  signal: AbortSignal,
): Promise<ReadyMessage> {
  const timeoutMs = options.readyTimeoutMs ?? READY_TIMEOUT_MS;
  const lastWords = (): readonly string[] => lastWordsOf(log);
  return new Promise<ReadyMessage>((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    const timer = setTimeout(() => {
      const exit = { code: null, signal: 'SIGKILL' } as const;
      reject(unexpectedExit(options.name, exit, `after ${timeoutMs / 1000} s without becoming ready`, lastWords()));
    }, timeoutMs);
    signal.addEventListener('abort', abort, { once: true });
    child.on('message', (message) => {
      const word = asServiceWord(message);
      if (word?.event === 'ready') resolve(word);
      if (word?.event === 'failed') reject(fromEnvelope(word.error));
    });
    // Its pipes may still hold what it said last: judge when they are closed, not at the exit itself.
    child.once('close', () => {
      void exited.then((exit) => reject(unexpectedExit(options.name, exit, 'before it was ready', lastWords())));
    });
    child.once('error', (error) => {
      const process = options.name;
      const details = { cause: error, hint: 'check that this user may start processes (ulimit -u)' };
      reject(
        new RopeteamError(
          'ENVIRONMENT.PROCESS',
          { process },
          `${process} could not be started: ${error.message}`,
          details,
        ),
      );
    });
    void exited.finally(() => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    });
  });
}

type ServiceWord =
  | ({ readonly event: 'ready' } & ReadyMessage)
  | { readonly event: 'failed'; readonly error: ErrorEnvelope };

function asServiceWord(message: unknown): ServiceWord | undefined {
  if (typeof message !== 'object' || message === null || !('event' in message)) return undefined;
  // Both ends of the channel are built from one checkout: the event's name decides what else is there.
  return message.event === 'ready' || message.event === 'failed' ? (message as ServiceWord) : undefined;
}

/** Gathers what the process writes: the newest lines are kept, each one is passed on. */
function collectLog(child: ChildProcess, options: ServiceOptions): readonly string[] {
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', (line) => {
      lines.push(line);
      if (lines.length > KEPT_LOG_LINES) lines.shift();
      options.onLog?.(line);
    });
  }
  return lines;
}

async function stopChild(child: ChildProcess, exited: Promise<ServiceExit>, graceMs: number): Promise<ServiceExit> {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  try {
    return await exited;
  } finally {
    clearTimeout(timer);
  }
}

/** Kills at the end of our own process, should nobody have stopped the child before. Returns how to call that off. */
function killAtExit(kill: () => void): () => void {
  process.once('exit', kill);
  return () => void process.off('exit', kill);
}
