/** The text of a file, plain or gzipped, as a stream: bounded memory, one short turn of the event loop a chunk. */
import { StringDecoder } from 'node:string_decoder';
import { RopeteamError } from '#training';
import { type BytesOptions, readBytes, type SourceFile } from './file-bytes.js';

/** Characters; also the longest record a quoted field may make. */
export const MAX_LINE_LENGTH = 1_000_000;

/**
 * The file's text, some whole lines at a time, without a byte order mark; every line ends in `\n`, however it ends in the
 * file.
 * @throws RopeteamError DATA.FILE (missing, unreadable, not regular, empty), DATA.FORMAT (not UTF-8 text, broken gzip),
 * DATA.LIMIT (line longer than 1 MB, gzip bomb); `signal.reason` when aborted
 */
export async function* readText(file: SourceFile, options: BytesOptions = {}): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  let line = 1;
  for await (const chunk of readBytes(file, options)) {
    const decoded = decoder.write(chunk);
    const added = line === 1 && rest === '' ? withoutByteOrderMark(file, chunk, decoded) : decoded;
    const text = (rest + added).replaceAll(/\r\n|\r(?!$)/g, '\n'); // after a CR at the very end an LF may follow
    checkText(file, text, line);
    const end = text.indexOf('\n');
    if ((end < 0 ? text.length : end) > MAX_LINE_LENGTH) throw tooLong(file, line, text);
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    rest = text.slice(whole.length);
    line += whole.split('\n').length - 1;
    if (whole !== '') yield whole;
  }
  rest += decoder.end();
  checkText(file, rest, line);
  if (rest !== '') yield `${rest.replace(/\r$/, '')}\n`;
}

/** Calls `onLine` with every line and its number from 1, until it returns false. Throws as `readText` does. */
export async function readLines(file: SourceFile, onLine: (text: string, line: number) => boolean): Promise<void> {
  let line = 0;
  for await (const text of readText(file)) {
    for (const each of text.slice(0, -1).split('\n')) if (!onLine(each, ++line)) return;
  }
}

/** At most 120 characters of a line, for an error's frame. */
export function excerpt(text: string): string {
  return text.length <= 120 ? text : `${text.slice(0, 119)}…`;
}

function withoutByteOrderMark(file: SourceFile, chunk: Buffer, text: string): string {
  const first = chunk.length < 2 ? 0 : chunk.readUInt16BE(0);
  if (first === 0xfffe || first === 0xfeff) throw notText(file, 1, 'is UTF-16');
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

function checkText(file: SourceFile, text: string, firstLine: number): void {
  const nul = text.indexOf('\0');
  const broken = nul < 0 ? text.indexOf('\uFFFD') : nul;
  if (broken < 0) return;
  const line = firstLine + text.slice(0, broken).split('\n').length - 1;
  throw notText(file, line, nul < 0 ? 'is not UTF-8' : 'looks like a binary file');
}

function notText(file: SourceFile, line: number, what: string): RopeteamError {
  return new RopeteamError('DATA.FORMAT', { file: file.name }, `${file.name}:${line}: the file ${what}`, {
    place: { file: file.name, line },
    hint: 'save it as CSV in UTF-8',
  });
}

function tooLong(file: SourceFile, line: number, text: string): RopeteamError {
  const message = `${file.name}:${line}: line longer than 1 MB`;
  return new RopeteamError('DATA.LIMIT', { file: file.name, limit: MAX_LINE_LENGTH }, message, {
    place: { file: file.name, line, text: excerpt(text) },
    hint: 'is this a CSV file? Each sample is a line of its own',
  });
}
