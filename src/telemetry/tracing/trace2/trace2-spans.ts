import type { Trace2Event } from './trace2-events.js'

type Time = Trace2Event['time']

/** A part of what a Git process did. */
export interface Trace2Span {
  readonly name: string
  /** undefined: a part of the process itself. */
  readonly parent: Trace2Span | undefined
  readonly begin: Time
  /** undefined: its end was not told. */
  end: Time | undefined
  /** Exit code of a child process. */
  code: number | undefined
}

/** Most spans of one Git process and its children. */
export const trace2MaxSpans = 64
/** Most characters of a name. */
const nameMax = 80

/** Returns the child processes and regions of a Git process, parents first, and how many were too many. */
export function trace2Spans(events: readonly Trace2Event[]): { spans: Trace2Span[]; dropped: number } {
  const children = new ChildProcesses(events)
  const spans: Trace2Span[] = []
  let dropped = 0
  /** What runs, by process and thread: the outer regions before the inner ones. undefined: there were too many spans. */
  const open = new Map<string, (Trace2Span | undefined)[]>()
  const running = new Map<string, Trace2Span>()
  const begin = (name: string, parent: Trace2Span | undefined, time: Time): Trace2Span | undefined => {
    if (spans.length >= trace2MaxSpans) {
      dropped++
      return undefined
    }
    const span: Trace2Span = { name, parent, begin: time, end: undefined, code: undefined }
    spans.push(span)
    return span
  }
  for (const { event, sid, thread, time, fields } of events) {
    const regions = open.get(`${sid} ${thread}`) ?? []
    const process = children.childOf(sid)
    const parent =
      regions.findLast((region) => region) ?? (process === undefined ? undefined : running.get(process))
    if (event === 'region_enter') {
      regions.push(begin(nameOf(fields['category'], fields['label']), parent, time))
      open.set(`${sid} ${thread}`, regions)
    } else if (event === 'region_leave') {
      const region = regions.pop()
      if (region) region.end = time
    } else if (event === 'child_start') {
      const child = begin(childName(fields), parent, time)
      if (child) running.set(childKey(sid, fields), child)
    } else if (event === 'child_exit') {
      const child = running.get(childKey(sid, fields))
      if (!child) continue
      child.end = time
      child.code = typeof fields['code'] === 'number' ? fields['code'] : undefined
    }
  }
  return { spans, dropped }
}

const childKey = (sid: string, fields: Trace2Event['fields']): string =>
  `${sid} ${String(fields['child_id'])}`

/** Tells which child of which process a process is: by its pid, which is told when it exits. */
class ChildProcesses {
  readonly #keys = new Map<string, string>()

  constructor(events: readonly Trace2Event[]) {
    for (const { event, sid, fields } of events)
      if (event === 'child_exit') this.#keys.set(`${sid} ${String(fields['pid'])}`, childKey(sid, fields))
  }

  /** Returns the key of the `child_start` that has started a process; undefined: it is not known. */
  childOf(sid: string): string | undefined {
    const at = sid.lastIndexOf('/')
    const pid = /-P([\da-f]{8})$/.exec(sid)?.[1]
    return at < 0 || pid === undefined
      ? undefined
      : this.#keys.get(`${sid.slice(0, at)} ${Number.parseInt(pid, 16)}`)
  }
}

/** Returns the name of a child: its Git command, or of what hook it is. Arguments may hold what is secret: none is taken. */
function childName({ child_class: kind, hook_name: hook, argv }: Trace2Event['fields']): string {
  if (kind === 'hook') return nameOf('hook', hook)
  const words = Array.isArray(argv) ? (argv as unknown[]) : []
  const command = words[0] === 'git' ? words.slice(1).find(isCommand) : undefined
  return command === undefined ? 'child process' : `git ${command}`
}

const isCommand = (word: unknown): word is string =>
  typeof word === 'string' && /^[a-z][a-z-]{0,40}$/.test(word)

const nameOf = (...parts: readonly unknown[]): string =>
  parts
    .map((part) => (typeof part === 'string' ? part : ''))
    .join('/')
    .replace(/[^\w ./-]/g, '?')
    .slice(0, nameMax)
