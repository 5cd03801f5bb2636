/** Watching a child process: the end of its log, and its own end. */
import type { ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';

const KEPT_LINES = 30;

export interface EndOfProcess {
  /** `exit code 1`, `SIGKILL`, or why it could not be started. */
  readonly reason: string;
}

/** Resolves when the process has ended or could not be started; never rejects. */
export function waitForEnd(child: ChildProcess): Promise<EndOfProcess> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ reason: error.message }));
    child.once('exit', (code, signal) => resolve({ reason: signal ?? `exit code ${code}` }));
  });
}

export interface LogTail {
  add(line: string): void;
  /** The last lines. */
  text(): string;
  /** Resolves at the first line, past or to come, that matches. */
  line(pattern: RegExp): Promise<string>;
}

/** Reads a stream for as long as it lasts, so that its writer never blocks, and keeps its last lines. */
export function tailOf(stream: Readable): LogTail {
  const lines: string[] = [];
  const waiting = new Set<(line: string) => void>();
  let rest = '';
  const add = (line: string): void => {
    lines.push(line);
    if (lines.length > KEPT_LINES) lines.shift();
    for (const look of waiting) look(line);
  };
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = (parts.pop() ?? '').slice(-4096);
    for (const part of parts) add(part.trimEnd());
  });
  return {
    add,
    text: () => [...lines, ...(rest === '' ? [] : [rest])].join('\n').trim(),
    line: (pattern) =>
      new Promise((resolve) => {
        const look = (line: string): void => {
          if (!pattern.test(line)) return;
          waiting.delete(look);
          resolve(line);
        };
        waiting.add(look);
        for (const line of [...lines]) look(line);
      }),
  };
}
