/** A service that does nothing but behave in one way, as a process of its own. For tests. */
export {};

const [manner] = process.argv.slice(2);
// What real services do when whoever started them is gone.
process.on('disconnect', () => process.exit(0));

switch (manner) {
  case 'serves':
    process.on('SIGTERM', () => process.exit(0));
    process.send?.({ event: 'ready', grpc: '127.0.0.1:4', http: 'http://127.0.0.1:5' });
    break;
  case 'ignores-sigterm':
    process.on('SIGTERM', () => process.stderr.write('heard\n'));
    process.send?.({ event: 'ready' });
    break;
  case 'dies':
    process.stderr.write('{"level":50,"time":1,"event":"redis_lost","msg":"no route","port":6379}\n', () =>
      process.exit(3),
    );
    break;
  case 'reports': {
    const error = { code: 'REDIS.VERSION', message: 'too old', facts: { found: '5.0' } };
    process.send?.({ event: 'failed', error }, () => process.exit(3));
    break;
  }
  case 'exhausts-memory': {
    const kept: object[] = [];
    for (;;) kept.push({ another: kept.length });
  }
  case 'says-nothing':
    process.stderr.write('thinking\n');
    break;
  default:
    throw new Error(`no manner ${manner}`);
}
