/** A terminal that remembers what was written, and a context around it. For tests. */
import { Writable } from 'node:stream';
import type { Context } from './context.js';
import { readEnvironment } from './environment.js';
import { type Interrupts, listenForInterrupts } from './interrupts.js';
import { type OutputStream, openTerminal, type Terminal } from './terminal.js';

export interface RecordedTerminal {
  readonly terminal: Terminal;
  /** Everything on stdout so far. */
  results(): string;
  /** Everything on stderr so far. */
  talk(): string;
}

export interface RecordedOptions {
  readonly variables?: Readonly<Record<string, string>>;
  /** Makes both streams terminals of this width. */
  readonly columns?: number;
}

export function recordTerminal({ variables = {}, columns }: RecordedOptions = {}): RecordedTerminal {
  const [stdout, stderr] = [recordStream(columns), recordStream(columns)];
  const terminal = openTerminal(stdout.stream, stderr.stream, readEnvironment(variables));
  return { terminal, results: stdout.text, talk: stderr.text };
}

export interface RecordedContext extends RecordedTerminal {
  readonly context: Context;
  readonly interrupts: Interrupts;
}

export function recordContext(options: RecordedOptions = {}): RecordedContext {
  const recorded = recordTerminal(options);
  const interrupts = listenForInterrupts({ on: () => undefined, off: () => undefined });
  const environment = readEnvironment(options.variables ?? {});
  return {
    ...recorded,
    interrupts,
    context: { terminal: recorded.terminal, environment, interrupts, directory: process.cwd() },
  };
}

function recordStream(columns: number | undefined): { readonly stream: OutputStream; text(): string } {
  const chunks: string[] = [];
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(chunk.toString());
      done();
    },
  });
  const shape = columns === undefined ? {} : { isTTY: true, columns };
  return { stream: Object.assign(stream, shape), text: () => chunks.join('') };
}
