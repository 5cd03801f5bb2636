/** Errors as people read them: what, where with the line itself, why, what to do. No stack traces. */
import { type ErrorEnvelope, type ErrorPlace, RopeteamError, toEnvelope } from '#training';

export interface ErrorFormat {
  /** Whether to use ANSI colours; they only repeat what the text says. */
  readonly color?: boolean;
}

/**
 * One error, or each of several with a count at the end, ready for a terminal. Text that came from users' files can
 * not move the cursor, change colours or reverse what is shown.
 */
export function formatError(error: RopeteamError | ErrorEnvelope, { color = false }: ErrorFormat = {}): string {
  const envelope = error instanceof RopeteamError ? toEnvelope(error) : error;
  const paint = color ? colours : plain;
  const problems = envelope.problems ?? [];
  if (problems.length === 0) return [...block(envelope, paint), ...causes(error)].join('\n');
  return [
    ...problems.flatMap((problem) => [...block(problem, paint), '']),
    `${paint.error('error')} ${visible(envelope.message)}`,
  ].join('\n');
}

function block({ code, message, hint, place }: ErrorEnvelope, paint: Paint): string[] {
  const head = `${paint.error('error')} ${paint.strong(visible(code))}: ${indented(message)}`;
  return [head, ...(place === undefined ? [] : frame(place, paint)), ...(hint === undefined ? [] : [fix(hint, paint)])];
}

const fix = (hint: string, paint: Paint): string => `  ${paint.help('fix:')} ${indented(hint)}`;

function frame(place: ErrorPlace, paint: Paint): string[] {
  const { file, line, column, length, text } = place;
  const number = line === undefined ? '' : String(line);
  const margin = ' '.repeat(Math.max(2, number.length));
  const where = [visible(file), ...(line === undefined ? [] : [line, ...(column === undefined ? [] : [column])])].join(
    ':',
  );
  const lines = [paint.edge(`${margin}┌─ `) + where];
  if (line === undefined || text === undefined || text.trim() === '') return lines;
  lines.push(`${paint.edge(`${number.padStart(margin.length)}│ `)}${visibleLine(text)}`);
  if (column === undefined || column > text.length) return lines;
  const before = visibleLine(text.slice(0, column - 1));
  const marked = visibleLine(text.slice(column - 1, column - 1 + (length ?? 1)));
  lines.push(
    `${paint.edge(`${margin}│ `)}${' '.repeat(width(before))}${paint.error('^'.repeat(Math.max(1, width(marked))))}`,
  );
  return lines;
}

/** The chain of causes, for what the system said; only an error of this process has one. */
function causes(error: RopeteamError | ErrorEnvelope): string[] {
  const lines: string[] = [];
  let cause: unknown = error instanceof RopeteamError ? error.cause : undefined;
  while (cause instanceof Error && lines.length < 4) {
    lines.push(`  = ${indented(cause.message)}`);
    cause = cause.cause;
  }
  return lines;
}

/** Line breaks of a message stay, pushed in so that no line of it passes for one of ours. */
const indented = (text: string): string => text.split('\n').map(visible).join('\n    ');

const visibleLine = (text: string): string => visible(text.replaceAll('\t', ' '));

/** Characters that a terminal obeys instead of showing, as escapes: controls, line separators, reversals, half pairs. */
function visible(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/** Cells on a terminal: none for combining marks, two for East Asian wide characters and pictographs. */
function width(text: string): number {
  let cells = 0;
  for (const character of text) {
    if (/\p{M}/u.test(character)) continue;
    cells +=
      /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\uff01-\uff60]/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return cells;
}

interface Paint {
  readonly error: (text: string) => string;
  readonly strong: (text: string) => string;
  readonly edge: (text: string) => string;
  readonly help: (text: string) => string;
}

const unpainted = (text: string): string => text;
const plain: Paint = { error: unpainted, strong: unpainted, edge: unpainted, help: unpainted };

const painter = (open: number, close: number) => (text: string) => `\u001b[${open}m${text}\u001b[${close}m`;
const colours: Paint = { error: painter(31, 39), strong: painter(1, 22), edge: painter(34, 39), help: painter(36, 39) };
