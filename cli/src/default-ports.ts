/** Where `up` listens and the commands for a running coordinator look, unless told otherwise. */
export const DEFAULT_PORT = 50_051;
export const DEFAULT_HTTP_PORT = 9_464;
