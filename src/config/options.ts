import { z } from 'zod'
import {
  address,
  bytes,
  count,
  countOrZero,
  freshnessRule,
  headerName,
  list,
  positiveSeconds,
  seconds,
  text,
  timerMax,
  timerSeconds,
  toggle,
  unixAddress,
} from './values.js'

export type { Address, UnixAddress } from './values.js'

/**
 * Every setting there is, one row each. The command line, the environment, the configuration file and the README's
 * table are all derived from these rows, so that a setting has one name, one default and one explanation.
 */
export interface Option {
  /** Key in `Settings`. */
  readonly key: string
  /** Flag without dashes, and the key in a TOML file; `REFSTREAM_` and upper case make the environment variable. */
  readonly name: string
  /** Placeholder of the value in the help; switches have none. */
  readonly value?: string
  readonly help: string
  /** What a good value looks like, for error messages. */
  readonly allowed: string
  /** Accepts text (flags, environment) and TOML's own types. */
  readonly schema: z.ZodType
  /** Shown in the help and in the README, where the default is worked out at start. */
  readonly defaultText?: string
}

const sizeAllowed = 'a number of bytes, or one with a unit: 512KiB, 64MiB, 2GiB'
const secondsAllowed = 'a number of seconds, such as 30 or 0.5'

export const options = [
  {
    key: 'root',
    name: 'root',
    value: 'DIR',
    help: 'directory that holds the repositories to serve',
    allowed: 'the path of an existing directory',
    schema: text,
    defaultText: 'none: must be given',
  },
  {
    key: 'listen',
    name: 'listen',
    value: 'HOST:PORT',
    help: 'where Git clients connect',
    allowed: 'HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080',
    schema: address.prefault('127.0.0.1:8080'),
    defaultText: '127.0.0.1:8080',
  },
  {
    key: 'admin',
    name: 'admin',
    value: 'ADDRESSES',
    help: 'where /metrics, /healthz, /readyz and the lease API are served; several with commas',
    allowed:
      'HOST:PORT, such as 127.0.0.1:8081 or [::1]:8081, or unix:/path/of/a/socket; several with commas',
    schema: list(z.union([unixAddress, address])).optional(),
    defaultText: '127.0.0.1:8081, or a free loopback port if that one is taken',
  },
  {
    key: 'cacheDir',
    name: 'cache-dir',
    value: 'DIR',
    help: 'directory for committed and growing entries; safe to delete while stopped',
    allowed: 'the path of a directory, which is made if need be',
    schema: text.optional(),
    defaultText: 'a directory for this root under $XDG_CACHE_HOME, ~/.cache or the temporary directory',
  },
  {
    key: 'exportAll',
    name: 'export-all',
    help: 'serve repositories without git-daemon-export-ok too (as GIT_HTTP_EXPORT_ALL does)',
    allowed: 'true or false',
    schema: toggle.optional(),
    defaultText: 'false, unless GIT_HTTP_EXPORT_ALL is set',
  },
  {
    key: 'remoteUserHeader',
    name: 'remote-user-header',
    value: 'NAME',
    help: 'request header in which a proxy in front names the authenticated user; the proxy must set or clear it',
    allowed: 'the name of a request header, such as X-Remote-User',
    schema: headerName.optional(),
    defaultText: 'none: every client is anonymous',
  },
  {
    key: 'git',
    name: 'git',
    value: 'PATH',
    help: 'Git program that runs every Git process',
    allowed: 'the path of a program, or a name to look up in PATH',
    schema: text.default('git'),
    defaultText: 'git',
  },
  {
    key: 'cacheMaxBytes',
    name: 'cache-max-bytes',
    value: 'SIZE',
    help: 'most bytes of committed entries on disk; the least recently used go first',
    allowed: sizeAllowed,
    schema: bytes.prefault('1GiB'),
    defaultText: '1GiB',
  },
  {
    key: 'cacheMaxEntries',
    name: 'cache-max-entries',
    value: 'NUMBER',
    help: 'most committed entries on disk; the least recently used go first',
    allowed: 'a whole number, such as 100000',
    schema: count.prefault(100_000),
    defaultText: '100000',
  },
  {
    key: 'cacheMaxEntryBytes',
    name: 'cache-max-entry-bytes',
    value: 'SIZE',
    help: 'most bytes of one entry; what is larger is served and not stored',
    allowed: sizeAllowed,
    schema: bytes.prefault('512MiB'),
    defaultText: '512MiB',
  },
  {
    key: 'cacheMinFreeBytes',
    name: 'cache-min-free-bytes',
    value: 'SIZE',
    help: 'bytes that the cache’s filesystem must have free for an entry to be stored',
    allowed: sizeAllowed,
    schema: bytes.prefault('64MiB'),
    defaultText: '64MiB',
  },
  {
    key: 'cacheMinFreeInodes',
    name: 'cache-min-free-inodes',
    value: 'NUMBER',
    help: 'the same for inodes; 0: any',
    allowed: 'a whole number, such as 1000',
    schema: countOrZero.prefault(1000),
    defaultText: '1000',
  },
  {
    key: 'cacheMaxAgeSeconds',
    name: 'cache-max-age-seconds',
    value: 'SECONDS',
    help: 'age at which a committed entry is dropped, however fresh it still is',
    allowed: secondsAllowed,
    schema: positiveSeconds.prefault(7 * 24 * 3600),
    defaultText: '604800',
  },
  {
    key: 'hotMaxBytes',
    name: 'hot-max-bytes',
    value: 'SIZE',
    help: 'most bytes of entries in memory; as many again for ref listings, and for compressed forms',
    allowed: sizeAllowed,
    schema: bytes.prefault('64MiB'),
    defaultText: '64MiB',
  },
  {
    key: 'maxLeadBytes',
    name: 'max-lead-bytes',
    value: 'SIZE',
    help: 'how far a fill may run ahead of its fastest follower before it pauses',
    allowed: sizeAllowed,
    schema: bytes.prefault('64MiB'),
    defaultText: '64MiB',
  },
  {
    key: 'compression',
    name: 'compression',
    value: 'MODE',
    help: 'send large advertisements compressed to clients that accept it',
    allowed: 'on or off',
    schema: z.enum(['on', 'off']).default('on'),
    defaultText: 'on',
  },
  {
    key: 'compressionMinBytes',
    name: 'compression-min-bytes',
    value: 'SIZE',
    help: 'advertisements of fewer bytes are sent as they are, with no header that Git would not send',
    allowed: sizeAllowed,
    schema: bytes.prefault('16KiB'),
    defaultText: '16KiB',
  },
  {
    key: 'etag',
    name: 'etag',
    help: 'send an ETag with each advertisement, not only to those who ask with If-None-Match',
    allowed: 'true or false',
    schema: toggle.default(false),
    defaultText: 'false',
  },
  {
    key: 'fillTimeoutSeconds',
    name: 'fill-timeout-seconds',
    value: 'SECONDS',
    help: 'longest run of one fill; then its Git process is killed and its followers fail',
    allowed: secondsAllowed,
    schema: timerSeconds.prefault(300),
    defaultText: '300',
  },
  {
    key: 'fillSilenceSeconds',
    name: 'fill-silence-seconds',
    value: 'SECONDS',
    help: 'longest silence of a fill between two bytes; then as above',
    allowed: secondsAllowed,
    schema: timerSeconds.prefault(60),
    defaultText: '60',
  },
  {
    key: 'fillFirstByteSeconds',
    name: 'fill-first-byte-seconds',
    value: 'SECONDS',
    help: 'longest wait for a fill’s first byte, from the start of its Git process; then as above',
    allowed: secondsAllowed,
    schema: timerSeconds.prefault(60),
    defaultText: '60',
  },
  {
    key: 'fillRetries',
    name: 'fill-retries',
    value: 'NUMBER',
    help: 'how often a fill whose Git process failed is tried again, if it then begins with the same bytes',
    allowed: 'a whole number, such as 2',
    schema: countOrZero.prefault(2),
    defaultText: '2',
  },
  {
    key: 'maxProcesses',
    name: 'max-processes',
    value: 'NUMBER',
    help: 'most Git processes at once; a quarter is kept for fills, half for pass-through',
    allowed: 'a whole number from 2 on, such as 16',
    schema: count.pipe(z.int().min(2)).prefault(16),
    defaultText: '16',
  },
  {
    key: 'maxFillsPerRepository',
    name: 'max-fills-per-repository',
    value: 'NUMBER',
    help: 'most fills at once for one repository, over all protocols',
    allowed: 'a whole number, such as 16',
    schema: count.prefault(5),
    defaultText: '5',
  },
  {
    key: 'maxPassThroughPerRepository',
    name: 'max-pass-through-per-repository',
    value: 'NUMBER',
    help: 'most fetches, pushes and the like at once for one repository',
    allowed: 'a whole number, such as 16',
    schema: count.prefault(8),
    defaultText: '8',
  },
  {
    key: 'queueMax',
    name: 'queue-max',
    value: 'NUMBER',
    help: 'most requests that wait for fills, as many for pass-through, four times as many at the door; four times as many of clients let in before',
    allowed: 'a whole number, such as 16',
    schema: count.prefault(256),
    defaultText: '256',
  },
  {
    key: 'queueWaitSeconds',
    name: 'queue-wait-seconds',
    value: 'SECONDS',
    help: 'longest wait for a process, or at the door; four times as long for clients let in before',
    allowed: secondsAllowed,
    schema: timerSeconds.prefault(15),
    defaultText: '15',
  },
  {
    key: 'shedStatus',
    name: 'shed-status',
    value: 'STATUS',
    help: 'status of the answer to requests that are shed, with Retry-After',
    allowed: '429 or 503',
    schema: z
      .union([
        z.literal(429),
        z.literal(503),
        z.enum(['429', '503']).transform((value) => Number(value) as 429 | 503),
      ])
      .prefault(429),
    defaultText: '429',
  },
  {
    key: 'maxRequests',
    name: 'max-requests',
    value: 'NUMBER',
    help: 'most requests under way at once, whatever they wait for; more are shed',
    allowed: 'a whole number, such as 16',
    schema: count.prefault(20_000),
    defaultText: '20000',
  },
  {
    key: 'busySeconds',
    name: 'busy-seconds',
    value: 'SECONDS',
    help: 'how long the event loop may be busy without a pause before requests wait at the door; 0: as long as it likes',
    allowed: secondsAllowed,
    schema: seconds.prefault(1),
    defaultText: '1',
  },
  {
    key: 'adaptiveProcesses',
    name: 'adaptive-processes',
    help: 'move the limit of Git processes between 4 and max-processes, by how long fills take and by the kernel’s pressure figures',
    allowed: 'true or false',
    schema: toggle.default(false),
    defaultText: 'false',
  },
  {
    key: 'clientIdleSeconds',
    name: 'client-idle-seconds',
    value: 'SECONDS',
    help: 'how long a client may take nothing of an answer that is there; then its connection is cut',
    allowed: secondsAllowed,
    schema: timerSeconds.prefault(300),
    defaultText: '300',
  },
  {
    key: 'clientMinRate',
    name: 'client-min-rate',
    value: 'SIZE',
    help: 'bytes per second that a client must take of an answer, over client-idle-seconds; 0: any',
    allowed: sizeAllowed,
    schema: bytes.prefault('0'),
    defaultText: '0',
  },
  {
    key: 'requestIdleSeconds',
    name: 'request-idle-seconds',
    value: 'SECONDS',
    help: 'how long a client may send nothing of a request that it has begun; for its head, the whole of it',
    allowed: secondsAllowed,
    schema: timerSeconds.prefault(60),
    defaultText: '60',
  },
  {
    key: 'drainSeconds',
    name: 'drain-seconds',
    value: 'SECONDS',
    help: 'how long requests under way may go on after SIGTERM or SIGINT',
    allowed: secondsAllowed,
    schema: seconds.pipe(z.number().max(timerMax)).prefault(30),
    defaultText: '30',
  },
  {
    key: 'freshness',
    name: 'freshness',
    value: 'RULES',
    help: 'how to tell that an answer is fresh, by repository: GLOB=MODE, the first that matches, or a MODE for all',
    allowed:
      'rules with commas in between, such as "mirrors/**=lease, auto"; modes are observe, lease and auto',
    schema: list(freshnessRule).prefault('auto'),
    defaultText: 'auto',
  },
  {
    key: 'maxRefDirectories',
    name: 'max-ref-directories',
    value: 'NUMBER',
    help: 'directories under refs/ beyond which auto means lease instead of observe',
    allowed: 'a whole number, such as 20000',
    schema: count.prefault(20_000),
    defaultText: '20000',
  },
  {
    key: 'leaseMaxSeconds',
    name: 'lease-max-seconds',
    value: 'SECONDS',
    help: 'longest time that a lease may be given at once; it can be renewed',
    allowed: secondsAllowed,
    schema: timerSeconds.prefault(3600),
    defaultText: '3600',
  },
  {
    key: 'unleasedMaxAgeSeconds',
    name: 'unleased-max-age-seconds',
    value: 'SECONDS',
    help: 'in lease mode, how long an entry may answer while no lease says otherwise',
    allowed: secondsAllowed,
    schema: positiveSeconds.prefault(10),
    defaultText: '10',
  },
  {
    key: 'webhookSecretFile',
    name: 'webhook-secret-file',
    value: 'FILE',
    help: 'file whose first line is the secret that signs push webhooks of Gitea, Forgejo, GitLab and GitHub',
    allowed: 'the path of a file with one line',
    schema: text.optional(),
    defaultText: 'none: webhooks are refused',
  },
  {
    key: 'logLevel',
    name: 'log-level',
    value: 'LEVEL',
    help: 'least level that is logged; debug has a line per request',
    allowed: 'one of trace, debug, info, warn, error, fatal, silent',
    schema: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
    defaultText: 'info',
  },
] as const satisfies readonly Option[]

type Row = (typeof options)[number]

/** All settings, validated. Sizes are in bytes, times in seconds. */
export type Settings = { readonly [R in Row as R['key']]: z.output<R['schema']> }

export const environmentName = (option: Option): string =>
  `REFSTREAM_${option.name.toUpperCase().replaceAll('-', '_')}`
