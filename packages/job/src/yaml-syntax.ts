/** What is wrong with a text before anything in it has a meaning: size, encoding, nesting, YAML itself. */
import { type Document, Lexer, Parser } from 'yaml';
import type { Problem } from './problem.js';
import type { SourceText } from './source-text.js';

/** A job file is written by hand; one this long is something else. Bounds the time the YAML library may take. */
export const largestJobFileBytes = 256 * 1024;

/** A job file nests six deep. Beyond some thousands the YAML library's recursion would end the process. */
const deepestNesting = 64;

/** Problems for which the text is not even handed to the YAML library. */
export function textProblem(source: SourceText): Problem | undefined {
  const { text } = source;
  const bytes = Buffer.byteLength(text);
  if (bytes > largestJobFileBytes) {
    const most = `${largestJobFileBytes / 1024} KiB`;
    return syntax(source, 0, `the job file is ${Math.ceil(bytes / 1024)} KiB long, at most ${most} are read`, {
      hint: 'name the data in data.source instead of writing it into the job file',
    });
  }
  const control = firstControlCharacter(text);
  if (control !== undefined) {
    const code = text.charCodeAt(control).toString(16).padStart(4, '0');
    return syntax(source, control, `the job file is not plain text: it holds the character U+${code.toUpperCase()}`, {
      hint: 'save it as UTF-8 text',
    });
  }
  const deep = nestedTooDeep(text);
  if (deep === undefined) return undefined;
  return syntax(source, deep, `settings are nested more than ${deepestNesting} deep here`, {
    hint: 'check the brackets and the indentation from this line on',
  });
}

/** A text without a single setting: nothing at all, blank lines, comments. */
export function emptyProblem(source: SourceText): Problem {
  return syntax(source, 0, 'the job file is empty', { hint: 'start from one of those in examples/', length: 0 });
}

/** What the YAML library found wrong: every tab, or else the first error, for what follows it is mostly guesswork. */
export function syntaxProblems(source: SourceText, document: Document.Parsed): Problem[] {
  const problems: Problem[] = [];
  const { version, explicit } = document.directives.yaml;
  if (explicit === true && version !== '1.2') {
    problems.push(
      syntax(
        source,
        Math.max(0, source.text.indexOf('%YAML')),
        `job files are YAML 1.2, this one asks for ${version}`,
        {
          hint: 'remove the line',
          length: '%YAML 1.1'.length,
        },
      ),
    );
  }
  const tabs = document.errors.filter((error) => error.code === 'TAB_AS_INDENT');
  for (const error of tabs.length > 0 ? tabs : document.errors.slice(0, 1)) {
    const [begin, end] = error.pos;
    const known = explanations[error.code];
    problems.push(
      syntax(source, begin, known?.message ?? lowerFirst(error.message), {
        hint: known?.hint ?? 'check the indentation, brackets and quotes on this line and the one before',
        length: Math.max(1, end - begin),
      }),
    );
  }
  return problems;
}

const explanations: Readonly<Record<string, { readonly message: string; readonly hint: string }>> = {
  TAB_AS_INDENT: {
    message: 'a tab stands where indentation is expected',
    hint: 'indent with spaces; YAML takes no tabs',
  },
  MULTIPLE_DOCS: {
    message: 'a second document begins here; a job file holds one',
    hint: 'write each job to a file of its own',
  },
  BLOCK_AS_IMPLICIT_KEY: {
    message: 'a second `name: value` stands on the same line, or is indented too far',
    hint: 'give each setting its own line, or put text that holds ": " in quotes',
  },
  BAD_ALIAS: { message: 'aliases are not allowed in job files', hint: 'put text that begins with * in quotes' },
};

function syntax(
  source: SourceText,
  begin: number,
  message: string,
  details: { readonly hint: string; readonly length?: number },
): Problem {
  const at = { source, begin, end: begin + (details.length ?? 1) };
  return { code: 'CONFIG.SYNTAX', facts: { file: source.name }, message, hint: details.hint, at };
}

/** Offset of the first character that no text file holds: C0 controls but tab, line feed and carriage return, or DEL. */
function firstControlCharacter(text: string): number | undefined {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if ((code < 32 && code !== 9 && code !== 10 && code !== 13) || code === 127) return at;
  }
  return undefined;
}

/**
 * Offset at which nesting goes too deep. The library's tokenizer and parser keep their own stack, so this pass is
 * safe where composing the document is not.
 */
function nestedTooDeep(text: string): number | undefined {
  const parser = new Parser();
  for (const lexeme of new Lexer().lex(text)) {
    const begin = parser.offset;
    // the tokens themselves are of no interest: running the generator is what feeds the parser
    for (const _token of parser.next(lexeme));
    if (parser.stack.length > deepestNesting) return begin;
  }
  return undefined;
}

const lowerFirst = (text: string): string => text.slice(0, 1).toLowerCase() + text.slice(1);
