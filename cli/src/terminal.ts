/** The two ends of the command: results on stdout, talk on stderr. Nothing else in the cli writes anywhere. */
import { styleText } from 'node:util';
import type { Environment } from './environment.js';

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';
/** Returns the text with the style, or as it is where colour is off. */
export type Paint = (style: Style, text: string) => string;

/** What is needed of a process stream. */
export interface OutputStream extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** What is needed of stdin. */
export interface KeyStream {
  readonly isTTY?: boolean;
  setRawMode?(raw: boolean): unknown;
  on(event: 'data', listener: (bytes: Buffer) => void): unknown;
  off(event: 'data', listener: (bytes: Buffer) => void): unknown;
  resume(): unknown;
  pause(): unknown;
}

export interface Terminal {
  /** A result: one or more lines on stdout. */
  result(text: string): void;
  /** Part of a long result, as it is, on stdout; resolves when the stream has taken it. */
  stream(text: string): Promise<void>;
  /** Talk: one or more lines on stderr. */
  say(text: string): void;
  readonly paintResult: Paint;
  readonly paintTalk: Paint;
  /** Whether talk is coloured, for texts that others compose. */
  readonly colourTalk: boolean;
  /** Whether talk may be redrawn in place. */
  readonly live: boolean;
  /** Columns of the talk stream now; 80 when it does not know. */
  columns(): number;
  readonly talkStream: OutputStream;
  /**
   * Hears each key as it is pressed, until disposed; undefined where there is no keyboard or nothing is redrawn. Ctrl-C
   * comes as a key too then, `INTERRUPT_KEY`, and not as a signal.
   */
  listenForKeys(listener: (key: string) => void): Disposable | undefined;
}

export const INTERRUPT_KEY = '\u0003';

export function openTerminal(
  stdout: OutputStream,
  stderr: OutputStream,
  environment: Environment,
  stdin?: KeyStream,
): Terminal {
  const isColoured = (stream: OutputStream): boolean => environment.colour ?? stream.isTTY === true;
  const painter = (stream: OutputStream): Paint => (isColoured(stream) ? paintAlways : (_style, text) => text);
  const live = stderr.isTTY === true && environment.redraw;
  return {
    result: (text) => void stdout.write(`${text}\n`),
    stream: (text) =>
      new Promise((resolve, reject) => {
        stdout.write(text, (error) => (error ? reject(error) : resolve()));
      }),
    say: (text) => void stderr.write(`${text}\n`),
    paintResult: painter(stdout),
    paintTalk: painter(stderr),
    colourTalk: isColoured(stderr),
    live,
    // A terminal that doesn't know its width says 0.
    columns: () => stderr.columns || 80,
    talkStream: stderr,
    listenForKeys: (listener) => (live && stdin?.isTTY === true ? listenForKeys(stdin, listener) : undefined),
  };
}

function listenForKeys(stdin: KeyStream, listener: (key: string) => void): Disposable {
  const hear = (bytes: Buffer): void => listener(bytes.toString());
  stdin.setRawMode?.(true);
  stdin.on('data', hear);
  stdin.resume();
  return {
    [Symbol.dispose]: () => {
      stdin.off('data', hear);
      stdin.pause();
      stdin.setRawMode?.(false);
    },
  };
}

/** Whether a stream gets colour was decided by the caller: `styleText` shall not decide again for process.stdout. */
const paintAlways: Paint = (style, text) => styleText(style, text, { validateStream: false });
