/**
 * Redraws a block of lines in place at the end of a terminal's output, also after the terminal was resized
 * (docs/decisions/0040).
 */
import { stripVTControlCharacters } from 'node:util';
import stringWidth from 'string-width';
import type { OutputStream } from '../terminal.js';

export interface Redraw {
  /** Draws these lines in place of the last ones; none may be wider than the terminal. */
  draw(lines: readonly string[]): void;
  /** Takes the lines away; what is written next stands in their place. */
  clear(): void;
  /** Leaves the lines where they are, for good. */
  done(): void;
}

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const START_OF_LINE = '\r';
/** Row by row: tmux takes the erasing of a whole screen for its end, and keeps what was on it in its history. */
const ERASE_ROW_ABOVE = '\u001b[1A\u001b[2K';

/** Rows of a terminal that does not say how many it has. */
const DEFAULT_ROWS = 24;

/** Columns a text takes on a terminal. */
export function widthOf(text: string): number {
  return stringWidth(text);
}

export function openRedraw(stream: OutputStream, columns: () => number): Redraw {
  let shown: readonly string[] = [];
  let shownColumns = columns();
  let hidden = false;

  const write = (text: string): void => void stream.write(text);
  /** A narrower terminal has broken the lines that are on it: each takes as many rows as it needs by now. */
  const rowsShown = (): number =>
    shown.reduce((rows, line) => rows + Math.max(1, Math.ceil(widthOf(line) / columns())), 0);
  const back = (): string => `${START_OF_LINE}${ERASE_ROW_ABOVE.repeat(rowsShown())}`;
  const show = (): void => {
    if (hidden) process.off('exit', show);
    if (hidden) write(SHOW_CURSOR);
    hidden = false;
  };
  const hide = (): void => {
    if (hidden) return;
    hidden = true;
    process.once('exit', show); // however the command ends, the cursor is back
    write(HIDE_CURSOR);
  };
  return {
    draw: (lines) => {
      // What has scrolled out of the screen can't be reached any more.
      const fitting = lines.slice(0, Math.max(1, (stream.rows || DEFAULT_ROWS) - 1));
      const same = fitting.length === shown.length && fitting.every((line, index) => line === shown[index]);
      if (same && shownColumns === columns()) return;
      hide();
      write(`${back()}${fitting.map((line) => `${line}\n`).join('')}`);
      shown = fitting;
      shownColumns = columns();
    },
    clear: () => {
      if (shown.length > 0) write(back());
      shown = [];
    },
    done: () => {
      shown = [];
      show();
    },
  };
}

/** A text without what terminals take for commands: messages may hold what others wrote. */
export function harmless(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/\p{Cc}+/gu, ' ');
}
