/** `ropeteam explain CODE`: what docs/errors.md says of an error code, without a network. */
import { readFile } from 'node:fs/promises';
import { nearest } from '#job';
import { RopeteamError } from '#training';
import type { Context } from '../context.js';

export interface Explanation {
  readonly code: string;
  readonly exitCode: number;
  /** Heading of its section: what the errors of it have to do with. */
  readonly area: string;
  readonly meaning: string;
  readonly remedy: string;
}

export interface ExplainOptions {
  readonly json: boolean;
}

/** The page is shipped with the package: dist/cli/src/commands/ is four folders below it. */
const PAGE = new URL('../../../../docs/errors.md', import.meta.url);
const HEADING = /^## (.+)$/;
const ROW = /^\| `([A-Z_.]+)` +\| (\d+) +\| (.+?) +\| (.+?) +\|$/;

/** Prints one explanation, or without a code a line for each, and returns 0. @throws RopeteamError USAGE.ARGUMENT for a code there is none of */
export async function explain(code: string | undefined, { json }: ExplainOptions, context: Context): Promise<number> {
  const { terminal } = context;
  const all = readExplanations(await readFile(PAGE, 'utf8'));
  if (code === undefined) {
    terminal.result(json ? JSON.stringify(all) : all.map(({ code, meaning }) => `${code}\n  ${meaning}`).join('\n'));
    return 0;
  }
  const wanted = code.toUpperCase();
  const found = all.find((one) => one.code === wanted);
  if (found === undefined) throw unknownCode(code, all);
  terminal.result(json ? JSON.stringify(found) : render(found, terminal.paintResult));
  return 0;
}

/** @param page docs/errors.md */
export function readExplanations(page: string): readonly Explanation[] {
  const explanations: Explanation[] = [];
  let area = '';
  for (const line of page.split('\n')) {
    area = HEADING.exec(line)?.[1] ?? area;
    const [, code, exitCode, meaning, remedy] = ROW.exec(line) ?? [];
    if (code === undefined || meaning === undefined || remedy === undefined) continue;
    explanations.push({ code, exitCode: Number(exitCode), area, meaning: plain(meaning), remedy: plain(remedy) });
  }
  return explanations;
}

/** A cell without its Markdown; links keep the page they lead to. */
function plain(cell: string): string {
  return cell
    .replaceAll(/\[([^\]]+)\]\(([^)#]*)(#[^)]*)?\)/g, (_, text: string, page: string) =>
      page === '' || page === text ? text : `${text}: docs/${page}`,
    )
    .replaceAll('\\|', '|');
}

function render({ code, exitCode, area, meaning, remedy }: Explanation, paint: Context['terminal']['paintResult']) {
  const facts = [
    ['means', meaning],
    ['to do', remedy],
    ['exit', `${exitCode}: ${EXIT_CODES[exitCode] ?? 'see docs/errors.md'}`],
    ['more', `docs/errors.md, "${area}"`],
  ];
  return [paint('bold', code), ...facts.map(([name = '', text]) => `  ${name.padEnd(6)} ${text}`)].join('\n');
}

const EXIT_CODES: Readonly<Record<number, string>> = {
  1: 'the run failed',
  2: 'wrong usage, job or data',
  3: 'the machine or a service lacks something',
};

function unknownCode(code: string, all: readonly Explanation[]): RopeteamError {
  const near = nearest(
    code,
    all.map((one) => one.code),
  );
  const hint = near === undefined ? 'without a code it lists them all' : `did you mean ${near}?`;
  return new RopeteamError('USAGE.ARGUMENT', { argument: code }, `there is no error code '${code}'`, { hint });
}
