/**
 * Shell completion, written out from the commands as they are: nothing runs when a key is pressed but the shell itself.
 *
 * (Libraries that ask the program at each key cost a start of Node, 50 ms, and those looked at take completion of file
 * names away, which is what most of our arguments are.)
 */
import type { Command, Option } from 'commander';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

interface KnownOption {
  readonly name: string;
  readonly description: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

interface KnownCommand {
  readonly name: string;
  readonly description: string;
  readonly options: readonly KnownOption[];
  /** Of its first argument. */
  readonly choices: readonly string[];
}

/** The script a user's shell reads at its start. */
export function completionScript(program: Command, shell: Shell): string {
  const name = program.name();
  const commands = program.createHelp().visibleCommands(program).map(knownCommand);
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](name, commands);
}

function knownCommand(command: Command): KnownCommand {
  return {
    name: command.name(),
    description: command.description(),
    options: command.createHelp().visibleOptions(command).flatMap(knownOption),
    choices: command.registeredArguments[0]?.argChoices ?? [],
  };
}

function knownOption({ long, description, required, optional, argChoices }: Option): readonly KnownOption[] {
  if (long === undefined || long === null) return [];
  return [{ name: long, description, takesValue: required || optional, choices: argChoices ?? [] }];
}

/** `-o default`: where the function offers nothing, bash completes names of files. */
function bashScript(name: string, commands: readonly KnownCommand[]): string {
  const cases = commands.map(({ name: command, options, choices }) => {
    const values = options.filter((option) => option.choices.length > 0);
    const free = options.filter((option) => option.takesValue && option.choices.length === 0);
    return [
      `    ${command})`,
      '      case $previous in',
      ...values.map((option) => `        ${option.name}) words=${quoted(option.choices.join(' '))} ;;`),
      ...(free.length === 0 ? [] : [`        ${free.map((option) => option.name).join('|')}) return ;;`]),
      `        *) if [[ $current == -* ]]; then words=${quoted(options.map((option) => option.name).join(' '))}`,
      `          else words=${quoted(choices.join(' '))}; fi ;;`,
      '      esac ;;',
    ].join('\n');
  });
  return `_${name}() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} words=
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    words=${quoted(commands.map((command) => command.name).join(' '))}
  else
    case \${COMP_WORDS[1]} in
${cases.join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _${name} ${name}`;
}

function zshScript(name: string, commands: readonly KnownCommand[]): string {
  const cases = commands.map(({ name: command, options, choices }) => {
    const specs = options.map((option) => {
      const value = option.choices.length === 0 ? '_files' : `(${option.choices.join(' ')})`;
      const text = option.description.replaceAll(/[[\]:\\]/g, ' ');
      return quoted(
        `*${option.name}${option.takesValue ? '=' : ''}[${text}]${option.takesValue ? `:value:${value}` : ''}`,
      );
    });
    const argument = quoted(`*:argument:${choices.length === 0 ? '_files' : `(${choices.join(' ')})`}`);
    return `    ${command}) _arguments ${[...specs, argument].join(' ')} ;;`;
  });
  return `#compdef ${name}
_${name}() {
  if (( CURRENT == 2 )); then
    local -a commands=(${commands.map((command) => quoted(`${command.name}:${command.description.replaceAll(':', '\\:')}`)).join(' ')})
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${cases.join('\n')}
  esac
}
compdef _${name} ${name}`;
}

function fishScript(name: string, commands: readonly KnownCommand[]): string {
  const lines = commands.flatMap(({ name: command, description, options, choices }) => {
    const within = `complete -c ${name} -n '__fish_seen_subcommand_from ${command}'`;
    return [
      `complete -c ${name} -n __fish_use_subcommand -f -a ${command} -d ${fishQuoted(description)}`,
      ...options.map((option) => {
        const values = option.choices.length === 0 ? '' : ` -f -a ${fishQuoted(option.choices.join(' '))}`;
        const value = option.takesValue ? ` -r${values}` : '';
        return `${within} -l ${option.name.slice(2)} -d ${fishQuoted(option.description)}${value}`;
      }),
      ...(choices.length === 0 ? [] : [`${within} -f -a ${fishQuoted(choices.join(' '))}`]),
    ];
  });
  return lines.join('\n');
}

/** For bash and zsh. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
const fishQuoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
