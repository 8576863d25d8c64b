// What the report says of each scenario: what was done, which figures it gives, and what its picture shows.

/** figure of a row → the head of its column; each stands for the same in every table. */
export const heads = {
  server: 'server',
  kind: 'asked for',
  protocol: 'protocol',
  operation: 'command',
  form: 'how',
  tells: 'told by',
  refs: 'refs',
  bytes: 'bytes',
  clients: 'clients',
  answered: 'being answered',
  updates: 'updates',
  requestsPerSecond: 'requests/s',
  readsPerSecond: 'reads/s',
  megabytesPerSecond: 'MB/s',
  seconds: 'wall, s',
  firstP50: 'first byte p50, ms',
  firstP99: 'first byte p99, ms',
  lastP50: 'last byte p50, ms',
  lastP99: 'last byte p99, ms',
  p50: 'p50, ms',
  p99: 'p99, ms',
  wallP50: 'wall p50, ms',
  wallP99: 'wall p99, ms',
  soloMs: 'one alone, ms',
  wireMs: 'the wire, ms',
  ms: 'first right answer, ms',
  aloneMs: 'fast read alone, ms',
  besideMs: 'beside them, ms',
  cpuSeconds: 'CPU, s',
  cpuSecondsPerSecond: 'CPU, s per s',
  cpuPerGigabyte: 'CPU s per GB',
  cpuPerThousand: 'CPU s per 1,000',
  cpuPerPoll: 'CPU ms per poll',
  bothSeconds: 'with generator, s',
  bothSecondsPerSecond: 'with generator, s per s',
  bothPerGigabyte: 'with generator, s per GB',
  bothPerThousand: 'with generator, s per 1,000',
  bothPerPoll: 'with generator, ms',
  coresUsed: 'cores used',
  ratio: 'ratio',
  rate: 'polls/s',
  polls: 'polls',
  p999: 'p99.9, ms',
  worst: 'worst, ms',
  lateP99: 'sent late p99, ms',
  restMegabytes: 'RSS at rest, MB',
  sharedMegabytes: 'shared pages once, MB',
  afterMegabytes: 'RSS after the answer, MB',
  megabytes: 'memory, MB',
  kilobytesPerClient: 'KB per client',
  kernelKilobytesPerClient: 'kernel, KB per client',
  processes: 'Git processes',
  uploadPacks: 'of them upload-pack',
  packObjects: 'of them pack-objects',
  sentMegabytes: 'sent, MB',
  writtenMegabytes: 'written to disk, MB',
  stale: 'stale',
  oldestStaleMs: 'oldest stale, ms',
  generatorBusy: 'generator CPU',
  faults: 'wrong answers',
}

const words = (text) => text.split(' ')
const storm = {
  columns: words(
    'refs server processes uploadPacks firstP50 firstP99 lastP50 lastP99 cpuSeconds bothSeconds generatorBusy faults',
  ),
  panels: { by: ['refs'], keys: ['lastP99', 'cpuSeconds', 'bothSeconds'] },
}

/** scenario → text, columns, and panels: a panel per key and per group of rows that are alike in `by`. */
export const sections = {
  'warm-hits': {
    about: [
      'Clients on keep-alive connections, each asks again as soon as it has its answer: 32 of them, 8 where answers are larger',
      'than 1 MB. `ls-refs` asks for one branch in protocol v2. bare node:http and nginx with a static file are no contenders:',
      'they write the same bytes and decide nothing. Where the generator’s CPU is near 100 %, requests/s and MB/s are its',
      'limit and not the server’s; CPU per GB and per 1,000 requests hold all the same.',
    ],
    columns: words(
      'kind refs bytes server requestsPerSecond megabytesPerSecond cpuPerGigabyte bothPerGigabyte cpuPerThousand bothPerThousand p99 processes generatorBusy faults',
    ),
    panels: { by: ['kind', 'refs'], keys: ['cpuPerThousand', 'bothPerThousand'] },
  },
  'cold-storm': {
    about: [
      'Clients that all ask at once, on new connections, for an advertisement that no cache has. Each server is new, and has',
      'answered requests of all kinds for another repository for a while and a storm on a third, so that its code is warm.',
    ],
    ...storm,
  },
  'slow-first': { about: ['The same, after one client that takes 50 KB/s has sent its request.'], ...storm },
  'mutation-storm': {
    about: [
      'Five times a second `git update-ref` changes a ref, and then tells the cache in its own way: for nginx the entries’',
      'files are deleted, Varnish gets a BAN, refstream is told nothing. Readers in a closed loop. An answer is stale if it',
      'shows a value that had been replaced, and the cache told so, before the request was sent.',
    ],
    columns: words(
      'server tells updates clients readsPerSecond p50 p99 processes stale oldestStaleMs cpuPerThousand bothPerThousand generatorBusy faults',
    ),
    panels: { by: [], keys: ['p99', 'cpuPerThousand', 'stale', 'processes'] },
  },
  'push-storm': {
    about: [
      'The mutation storm with Varnish and refstream only, on two sizes, with `--splice off` beside: what it costs that all refs are',
      'listed after each push.',
    ],
    columns: words(
      'refs server updates clients readsPerSecond p50 p99 processes stale oldestStaleMs cpuPerThousand bothPerThousand writtenMegabytes generatorBusy faults',
    ),
    panels: { by: ['refs'], keys: ['readsPerSecond', 'cpuPerThousand'] },
  },
  'real-clients': {
    about: [
      'Git clients, each a process of its own, all at once, after some have warmed the cache and the code. Wall is until the last has ended,',
      'and is mostly the clients’ own work; CPU is that of the server and its children, and with that of the clients beside it.',
    ],
    columns: words('protocol operation refs clients server seconds cpuSeconds bothSeconds processes faults'),
    panels: { by: ['protocol', 'operation'], keys: ['cpuSeconds'] },
  },
  'slow-clients': {
    about: [
      'Clients that take 50 KB/s, each with a receive buffer of 4 KB and Ethernet’s segment size, all on one warm entry.',
      'Memory is that of the server’s processes, with shared pages counted once (Pss); what the kernel holds for the sockets',
      'is beside it. A fast client reads the same entry, alone and beside them.',
    ],
    columns: words(
      'server clients answered megabytes kilobytesPerClient kernelKilobytesPerClient cpuSecondsPerSecond bothSecondsPerSecond processes aloneMs besideMs generatorBusy faults',
    ),
    panels: { by: [], keys: ['kilobytesPerClient', 'besideMs'] },
  },
  restart: {
    about: [
      'The server has answered, is stopped, and starts on the same cache directory: time until a client, who tries all the',
      'while, has the whole right answer. Varnish keeps its cache in memory; plain nginx has none. RSS is summed over processes: at rest,',
      'some seconds after another such start of which nobody has asked anything, and some seconds after the answer.',
    ],
    columns: words('server refs ms restMegabytes sharedMegabytes afterMegabytes processes faults'),
    panels: { by: [], keys: ['ms', 'restMegabytes'] },
  },
  polls: {
    about: [
      'Each poll is one request on a new connection, which the client closes, for a repository of 20 refs, at a fixed rate: it is sent when it',
      'is due, whether or not earlier ones are answered, and its time counts from that moment until its answer is whole. `ls-refs` asks for one',
      'branch in protocol v2. Caches pass POSTs, so `ls-refs` through them is plain Git, which does not reach 500 a second on two cores:',
      'they are asked for 50. bare node:http is no contender: it writes the same bytes and decides nothing. In a whole run refstream is asked for',
      'ten minutes, others for one minute of each kind that they cache, and for fifteen seconds of the rest.',
    ],
    columns: words(
      'kind server rate polls p50 p99 p999 worst cpuPerPoll bothPerPoll processes lateP99 faults',
    ),
    panels: { by: ['kind'], keys: ['p99', 'cpuPerPoll'] },
  },
  workers: {
    about: [
      'refstream with `--workers 1` and 2. The load generator takes part of the cores that the second worker could use, so ratios are lower',
      'bounds; CPU of a request holds all the same.',
    ],
    columns: words(
      'kind refs server requestsPerSecond ratio cpuPerThousand bothPerThousand coresUsed processes stale generatorBusy faults',
    ),
    panels: { by: ['kind'], keys: ['requestsPerSecond', 'cpuPerThousand'] },
  },
  packs: {
    about: [
      'Clients that ask for the same pack, at once and spread over a time: `git clone --bare`, a checkout by commit id at depth 1, and a',
      'fetch of what is new by identical clones; then fetches no two of which ask for the same, four at a time. The repository is as',
      'a server has it some days after `git gc`. Each client sends on one connection what Git’s own client was recorded to send (a',
      'unique fetch: its POST alone), and throws away what it gets; it also checks length and end. After each storm at once a',
      'real client gets the same, and `git fsck --strict` checks it. Wall is from the moment at which a client was due until it has',
      'everything, first byte is of the pack’s answer. Each storm asks a copy of the repository that no cache knows. “One alone” is the wall',
      'time of one client with nothing in a cache; “the wire” is the p99 of as many clients at once that get the same bytes from nginx',
      'as a file. Written to disk is `write_bytes` of /proc/PID/io of the server and of its children that it waited for, so also',
      'what was deleted before the disk had it. nginx pack cache is nginx’s cache keyed by the body of the request, which notices no change of',
      'configuration and checks no access; `--no-packs` passes fetches to Git as plain nginx does.',
    ],
    columns: words(
      'operation form server clients packObjects uploadPacks processes cpuSeconds bothSeconds firstP50 firstP99 wallP50 wallP99 soloMs wireMs writtenMegabytes sentMegabytes generatorBusy faults',
    ),
    panels: { by: ['operation', 'form'], keys: ['cpuSeconds', 'wallP99'] },
  },
}
