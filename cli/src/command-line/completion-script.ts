/**
 * Shell completion, written out from the commands as they are: nothing runs when a key is pressed but the shell itself.
 *
 * (Libraries that ask the program at each key cost a start of Node, 50 ms, and those looked at take completion of file
 * names away, which is what most of our arguments are.)
 */
import type { Command } from 'commander';
import { type KnownCommand, knownCommands } from './known-commands.js';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** The script a user's shell reads at its start. */
export function completionScript(program: Command, shell: Shell): string {
  const name = program.name();
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](name, knownCommands(program));
}

/** `-o default`: where the function offers nothing, bash completes names of files. */
function bashScript(name: string, commands: readonly KnownCommand[]): string {
  return `_${name}() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} words=
  COMPREPLY=()
  # bash takes \`--option=value\` for three words
  if [[ $current == = ]]; then current=; elif [[ $previous == = ]]; then previous=\${COMP_WORDS[COMP_CWORD-2]}; fi
${bashCommands(commands, 1, '  ')}
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _${name} ${name}`;
}

/** What is offered where the word at this place is a command, and behind it. */
function bashCommands(commands: readonly KnownCommand[], place: number, indent: string): string {
  const cases = commands.map((command) => {
    const inner = `${indent}      `;
    const body =
      command.commands.length > 0 ? bashCommands(command.commands, place + 1, inner) : bashWords(command, inner);
    return `${indent}    ${command.name})\n${body} ;;`;
  });
  return [
    `${indent}if [ "$COMP_CWORD" -eq ${place} ]; then`,
    `${indent}  words=${quoted(commands.map(({ name }) => name).join(' '))}`,
    `${indent}else`,
    `${indent}  case \${COMP_WORDS[${place}]} in`,
    ...cases,
    `${indent}  esac`,
    `${indent}fi`,
  ].join('\n');
}

function bashWords({ options, arguments: [first] }: KnownCommand, indent: string): string {
  const values = options.filter((option) => option.choices.length > 0);
  const free = options.filter((option) => option.takesValue && option.choices.length === 0);
  return [
    `${indent}case $previous in`,
    ...values.map((option) => `${indent}  ${option.name}) words=${quoted(option.choices.join(' '))} ;;`),
    ...(free.length === 0 ? [] : [`${indent}  ${free.map((option) => option.name).join('|')}) return ;;`]),
    `${indent}  *) if [[ $current == -* ]]; then words=${quoted(options.map((option) => option.name).join(' '))}`,
    `${indent}    else words=${quoted(first?.choices.join(' ') ?? '')}; fi ;;`,
    `${indent}esac`,
  ].join('\n');
}

function zshScript(name: string, commands: readonly KnownCommand[]): string {
  return `#compdef ${name}
_${name}() {
  local command
  local -a commands
${zshCommands(commands, '  ')}
}
compdef _${name} ${name}`;
}

function zshCommands(commands: readonly KnownCommand[], indent: string): string {
  const described = commands.map(({ name, description }) => quoted(`${name}:${description.replaceAll(':', '\\:')}`));
  const cases = commands.map((command) =>
    command.commands.length > 0
      ? `${indent}  ${command.name})\n${zshCommands(command.commands, `${indent}    `)} ;;`
      : `${indent}  ${command.name}) _arguments ${zshWords(command)} ;;`,
  );
  return [
    `${indent}if (( CURRENT == 2 )); then`,
    `${indent}  commands=(${described.join(' ')})`,
    `${indent}  _describe command commands`,
    `${indent}  return`,
    `${indent}fi`,
    `${indent}command=$words[2]`,
    `${indent}shift words`,
    `${indent}(( CURRENT-- ))`,
    `${indent}case $command in`,
    ...cases,
    `${indent}esac`,
  ].join('\n');
}

function zshWords({ options, arguments: [first] }: KnownCommand): string {
  const values = (choices: readonly string[]): string => (choices.length === 0 ? '_files' : `(${choices.join(' ')})`);
  const specs = options.map(({ name, description, takesValue, choices }) => {
    const text = description.replaceAll(/[[\]:\\]/g, ' ');
    return quoted(`*${name}${takesValue ? '=' : ''}[${text}]${takesValue ? `:value:${values(choices)}` : ''}`);
  });
  return [...specs, quoted(`*:argument:${values(first?.choices ?? [])}`)].join(' ');
}

/** Two conditions of our own: fish's `__fish_seen_subcommand_from init` would hold in `certs init` as well. */
function fishScript(name: string, commands: readonly KnownCommand[]): string {
  return [
    `function __${name}_next_of -d 'the next word is a command behind these'
  set -l words (commandline -opc)
  test (count $words) -eq (math (count $argv) + 1); or return 1
  test (count $argv) -eq 0; or test "$words[2..-1]" = "$argv"
end
function __${name}_in -d 'the words begin with these'
  set -l words (commandline -opc)
  test (count $words) -gt (count $argv); and test "$words[2..(math (count $argv) + 1)]" = "$argv"
end`,
    ...fishCommands(name, commands, []),
  ].join('\n');
}

function fishCommands(name: string, commands: readonly KnownCommand[], above: readonly string[]): readonly string[] {
  return commands.flatMap(({ name: command, description, options, arguments: [first], commands: below }) => {
    const next = fishQuoted([`__${name}_next_of`, ...above].join(' '));
    const within = `complete -c ${name} -n ${fishQuoted([`__${name}_in`, ...above, command].join(' '))}`;
    const choices = first?.choices ?? [];
    return [
      `complete -c ${name} -n ${next} -f -a ${command} -d ${fishQuoted(description)}`,
      ...(below.length > 0 ? [] : options).map((option) => {
        const values = option.choices.length === 0 ? '' : ` -f -a ${fishQuoted(option.choices.join(' '))}`;
        const value = option.takesValue ? ` -r${values}` : '';
        return `${within} -l ${option.name.slice(2)} -d ${fishQuoted(option.description)}${value}`;
      }),
      ...(choices.length === 0 ? [] : [`${within} -f -a ${fishQuoted(choices.join(' '))}`]),
      ...fishCommands(name, below, [...above, command]),
    ];
  });
}

/** For bash and zsh. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
const fishQuoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
