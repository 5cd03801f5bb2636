/** What the command takes from its environment: read once, here, and nowhere else. */
import { homedir } from 'node:os';
import { join } from 'node:path';

export interface Environment {
  /** Undefined: colour where the stream is a terminal. `NO_COLOR` and `FORCE_COLOR`, see no-color.org and force-color.org. */
  readonly colour: boolean | undefined;
  /** False in CI and on dumb terminals: nothing is redrawn there, whatever the stream says. */
  readonly redraw: boolean;
  /** Show stack traces (`ROPETEAM_DEBUG=1`). */
  readonly debug: boolean;
  readonly redisUrl: string | undefined;
  /** The one file to take OpenBLAS from, for `--kernel blas` and `auto`. */
  readonly blasLibrary: string | undefined;
  /** Address of the coordinator that `submit`, `runs`, `watch` and `stop` talk to. */
  readonly coordinator: string | undefined;
  /** Folder with the certificate to show to it. */
  readonly tls: string | undefined;
  /** Talk to one on another machine in plaintext (`ROPETEAM_INSECURE=1`). */
  readonly insecure: boolean;
  /** May a private copy of Redis be fetched? `ROPETEAM_NO_FETCH=1` forbids it. */
  readonly allowFetch: boolean;
  /** Where that copy is kept between runs. */
  readonly cacheDirectory: string;
  /** How this user calls the command: `npx ropeteam` in a clone, `ropeteam` where it is installed. */
  readonly commandName: string;
  /** Handed to the services, which read what is theirs. */
  readonly forServices: Readonly<Record<string, string>>;
}

export function readEnvironment(variables: Readonly<Record<string, string | undefined>>): Environment {
  return {
    colour: colourChoice(variables),
    redraw: !isSet(variables.CI) && variables.TERM !== 'dumb',
    debug: isSet(variables.ROPETEAM_DEBUG),
    redisUrl: nonEmpty(variables.ROPETEAM_REDIS_URL),
    blasLibrary: nonEmpty(variables.ROPETEAM_BLAS_LIBRARY),
    coordinator: nonEmpty(variables.ROPETEAM_COORDINATOR),
    tls: nonEmpty(variables.ROPETEAM_TLS),
    insecure: isSet(variables.ROPETEAM_INSECURE),
    allowFetch: !isSet(variables.ROPETEAM_NO_FETCH),
    cacheDirectory: join(nonEmpty(variables.XDG_CACHE_HOME) ?? join(homedir(), '.cache'), 'ropeteam'),
    commandName: isSet(variables.npm_execpath) ? 'npx ropeteam' : 'ropeteam',
    forServices: Object.fromEntries(
      Object.entries(variables).filter((entry): entry is [string, string] => entry[1] !== undefined),
    ),
  };
}

function colourChoice(variables: Readonly<Record<string, string | undefined>>): boolean | undefined {
  if (isSet(variables.NO_COLOR)) return false;
  if (variables.FORCE_COLOR !== undefined) return variables.FORCE_COLOR !== '0';
  return isSet(variables.CI) || variables.TERM === 'dumb' ? false : undefined;
}

/** `0` and `false` count as not set: `CI=false` is common. */
function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '' && value !== '0' && value !== 'false';
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}
