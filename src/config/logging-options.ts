import { z } from 'zod'
import { secondsAllowed, type Option } from './option.js'
import { seconds, toggle } from './values.js'

/** The settings of the log. */
export const loggingOptions = [
  {
    key: 'logLevel',
    name: 'log-level',
    value: 'LEVEL',
    group: 'Logging',
    help: 'lowest level that is logged; debug logs one line per request',
    allowed: 'one of trace, debug, info, warn, error, fatal, silent',
    schema: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
    defaultText: 'info',
  },
  {
    key: 'logTime',
    name: 'log-time',
    value: 'FORM',
    group: 'Logging',
    help: 'form of the time of a log line: unix, in milliseconds since 1970, or iso, as in 2026-01-31T12:00:00.000Z',
    allowed: 'unix or iso',
    schema: z.enum(['unix', 'iso']).default('unix'),
    defaultText: 'unix',
  },
  {
    key: 'logLevelNames',
    name: 'log-level-names',
    group: 'Logging',
    help: 'write the level of a log line by its name, such as info, instead of its number, such as 30',
    allowed: 'true or false',
    schema: toggle.default(false),
    defaultText: 'false',
  },
  {
    key: 'accessLog',
    name: 'access-log',
    value: 'MODE',
    group: 'Logging',
    help: 'requests that have a line in the log, at level info: off, errors (those that failed), slow (these, and those that took long), or all',
    allowed: 'off, errors, slow or all',
    schema: z.enum(['off', 'errors', 'slow', 'all']).default('off'),
    defaultText: 'off',
  },
  {
    key: 'accessLogSlowSeconds',
    name: 'access-log-slow-seconds',
    value: 'SECONDS',
    group: 'Logging',
    help: 'duration from which a request is slow, in --access-log=slow',
    allowed: secondsAllowed,
    schema: seconds.prefault(5),
    defaultText: '5',
  },
  {
    key: 'traces',
    name: 'traces',
    value: 'EXPORT',
    group: 'Logging',
    help: 'traces of requests for OpenTelemetry: off, or otlp, which sends them as OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER and the other variables of its SDK say',
    allowed: 'off or otlp',
    schema: z.enum(['off', 'otlp']).default('off'),
    defaultText: 'off',
  },
] as const satisfies readonly Option[]
