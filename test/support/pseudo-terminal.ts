/** A shell in a pseudo-terminal, driven as a person drives one: type, look at the screen, press Ctrl-C. */
import { randomUUID } from 'node:crypto';
import pty from '@lydell/node-pty';
import xterm, { type Terminal as Screen } from '@xterm/headless';
import { processesWith } from './command.js';

const CTRL_C = '\u0003';
/** `\#` is bash's own count of commands and `$?` how the last one ended: nobody here has to count along. */
const PROMPT = /^\[(\d+):(\d+)\] \$ *$/;

export interface Done {
  readonly status: number;
  /** What the command left on the screen, from the line it was typed in; wrapped lines are whole again. */
  readonly screen: string;
  readonly seconds: number;
}

/** A command that was typed and may still run. */
export interface Typed {
  /** Resolves when the screen below the typed line shows this; rejects, with the screen, when it does not in time. */
  shows(pattern: RegExp, withinSeconds?: number): Promise<RegExpExecArray>;
  pressCtrlC(): void;
  /** Resolves when the shell's next prompt is there. */
  done(withinSeconds?: number): Promise<Done>;
}

export interface PseudoTerminal extends AsyncDisposable {
  type(line: string): Typed;
  /** Types a line and waits for its end. */
  run(line: string, withinSeconds?: number): Promise<Done>;
  /** Process ids that were started here and are alive, the shell left out. */
  offspring(): Promise<readonly number[]>;
}

export interface TerminalOptions {
  readonly directory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly columns?: number;
}

/** Opens a terminal with bash in it and waits for its first prompt. */
export async function openPseudoTerminal(options: TerminalOptions): Promise<PseudoTerminal> {
  const { directory, environment, columns: cols = 100 } = options;
  const rows = 30;
  const mark = randomUUID();
  const screen = new xterm.Terminal({ cols, rows, scrollback: 20_000, allowProposedApi: true });
  const shell = pty.spawn('bash', ['--noprofile', '--norc'], {
    name: 'xterm-256color',
    cols,
    rows,
    cwd: directory,
    env: { ...environment, TERM: 'xterm-256color', PS1: '[\\#:$?] $ ', ROPETEAM_TEST_MARK: mark },
  });
  const lookers = new Set<() => void>();
  // What the screen answers (where is the cursor?) goes back as if it was typed.
  screen.onData((text) => shell.write(text));
  shell.onData((text) =>
    screen.write(text, () => {
      for (const look of lookers) look();
    }),
  );
  const closed = new Promise<void>((resolve) => shell.onExit(() => resolve()));

  /** Resolves with the first value that `find` has when it looks at the screen again. */
  const seen = <Value>(find: () => Value | undefined, what: string, seconds: number, from: number): Promise<Value> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const value = find();
        if (value === undefined) return;
        settle();
        resolve(value);
      };
      const settle = (): void => {
        lookers.delete(look);
        clearTimeout(timer);
      };
      const timer = setTimeout(() => {
        settle();
        reject(new Error(`${seconds} s without ${what}; on the screen:\n${linesOf(screen, from).join('\n')}`));
      }, seconds * 1000);
      lookers.add(look);
      look();
    });
  const promptBelow = (from: number, number: number): number | undefined => {
    const [, count, status] = PROMPT.exec(linesOf(screen, from).at(-1) ?? '') ?? [];
    return count !== undefined && Number(count) > number ? Number(status) : undefined;
  };

  await seen(() => promptBelow(0, 0), 'a prompt', 20, 0);
  const type = (line: string): Typed => {
    const from = screen.buffer.active.baseY + screen.buffer.active.cursorY;
    const number = Number(PROMPT.exec(linesOf(screen, from).at(-1) ?? '')?.[1]);
    const started = performance.now();
    shell.write(`${line}\r`);
    return {
      shows: (pattern, within = 60) =>
        seen(() => pattern.exec(linesOf(screen, from).slice(1).join('\n')) ?? undefined, String(pattern), within, from),
      pressCtrlC: () => shell.write(CTRL_C),
      done: async (within = 60) => {
        const status = await seen(() => promptBelow(from, number), `an end of ${line}`, within, from);
        const lines = linesOf(screen, from).slice(0, -1);
        return { status, screen: lines.join('\n'), seconds: (performance.now() - started) / 1000 };
      },
    };
  };
  const offspring = (): Promise<readonly number[]> => processesWith(mark, shell.pid);
  return {
    type,
    run: (line, within) => type(line).done(within),
    offspring,
    [Symbol.asyncDispose]: async () => {
      shell.kill('SIGKILL');
      await closed;
      for (const pid of await offspring()) process.kill(pid, 'SIGKILL');
      screen.dispose();
    },
  };
}

/** Lines from one of the buffer on, down to the last that is not empty. */
function linesOf(screen: Screen, from: number): readonly string[] {
  const { active } = screen.buffer;
  const lines: string[] = [];
  for (let row = from; row < active.length; row++) {
    const line = active.getLine(row);
    const text = line?.translateToString(true) ?? '';
    if (line?.isWrapped === true && lines.length > 0) lines.push((lines.pop() ?? '') + text);
    else lines.push(text);
  }
  while (lines.at(-1) === '') lines.pop();
  return lines;
}
