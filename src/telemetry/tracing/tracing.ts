import { AsyncLocalStorage } from 'node:async_hooks'
import {
  ROOT_CONTEXT,
  SpanKind,
  trace,
  type Attributes,
  type Span,
  type SpanContext,
  type Tracer,
} from '@opentelemetry/api'
import { errorTypeOf } from './error-type.js'
import { FillTrace } from './fill-trace.js'
import { OpenSpan } from './open-span.js'
import { RequestTrace } from './request-trace.js'
import { ProcessTrace } from './process-trace.js'
import { Scope, type LogIds } from './scope.js'
import type { Trace2Files } from './trace2/trace2-files.js'
import { parentOf, type Headers } from './trace-parent.js'

export interface TracingOptions {
  readonly tracer: Tracer
  /** Where Git writes its own trace while it works for a sampled request; undefined: nowhere. */
  readonly trace2: Trace2Files | undefined
}

/** A request that is traced from its arrival to its end. */
export interface TracedRequest {
  readonly method: string
  /** Set if the request is sampled. */
  trace: RequestTrace | undefined
}

/** A reading of an entry, as far as traces tell of it. */
interface Reading {
  readonly entry: object
  readonly reuse: string
}

/**
 * Spans of the work under way. It exists only where traces are configured; all other rooms have it as `Tracing | undefined`.
 *
 * What is under way is known by an AsyncLocalStorage, so no span is handed from function to function. Work that one request
 * begins and another one's code goes on with, as in fills, is bound to its scope explicitly (`within`). Work for a request
 * that is not sampled has a scope without spans: only the trace's headers go on.
 */
export class Tracing {
  readonly #tracer: Tracer
  readonly #trace2: Trace2Files | undefined
  readonly #present = new AsyncLocalStorage<Scope | undefined>()
  /** The span in which each entry was made, for those who wait for it. */
  readonly #fills = new WeakMap<object, SpanContext>()

  constructor({ tracer, trace2 }: TracingOptions) {
    this.#tracer = tracer
    this.#trace2 = trace2
  }

  /** The scope of the work under way; undefined: it is part of no trace. */
  get present(): Scope | undefined {
    return this.#present.getStore()
  }

  /** Runs work in a scope; undefined: as part of no trace. */
  within<T>(scope: Scope | undefined, work: () => T): T {
    return this.#present.run(scope, work)
  }

  /** Fields of log lines about the work under way; undefined: it is not sampled. */
  get ids(): LogIds | undefined {
    const scope = this.present
    return scope?.isSampled ? scope.ids : undefined
  }

  /** Headers by which a request to another server becomes part of the trace. */
  get headers(): Record<string, string> {
    return this.present?.headers ?? {}
  }

  /** Runs the work for a request, in a server span below the span that its headers name. RequestRecord ends that. */
  serve<A extends readonly unknown[], T>(
    request: TracedRequest,
    headers: Headers,
    work: (...args: A) => T,
    ...args: A
  ): T {
    const span = this.#serverSpan(request.method, {}, headers)
    if (span.isRecording()) request.trace = new RequestTrace(span)
    return this.#present.run(request.trace?.scope ?? new Scope(span), work, ...args)
  }

  /** Runs work for another node of the fleet in a server span, which ends when the work settles. */
  serveNode<T>(name: string, headers: Headers, attributes: Attributes, work: () => T): T {
    const span = this.#serverSpan(name, attributes, headers)
    return this.#run(span, () => work())
  }

  #serverSpan(name: string, attributes: Attributes, headers: Headers): Span {
    const parent = parentOf(headers)
    const context = parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT
    return this.#tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, context)
  }

  /** Runs work in a span below that of the work under way, until what it returns settles. */
  span<T>(name: string, attributes: Attributes, work: () => T): T {
    const span = this.#child(name, SpanKind.INTERNAL, attributes)
    return span ? this.#run(span, () => work()) : work()
  }

  /**
   * Runs work that asks another server in a client span.
   * @param work gets the headers for its request, and the span, to be ended by it when the answer has ended; it ends by
   *   itself only if the work fails. undefined: not sampled
   */
  client<T>(
    name: string,
    attributes: Attributes,
    work: (headers: Record<string, string>, span: OpenSpan | undefined) => Promise<T>,
  ): Promise<T> {
    const span = this.#child(name, SpanKind.CLIENT, attributes)
    if (!span) return work(this.headers, undefined)
    const scope = new Scope(span)
    const open = new OpenSpan(span)
    const answer = this.#present.run(scope, () => work(scope.headers, open))
    answer.catch((error: unknown) => open.fail(errorTypeOf(error)))
    return answer
  }

  #run<T>(span: Span, work: () => T): T {
    const open = new OpenSpan(span)
    try {
      return open.endWith(this.#present.run(new Scope(span), work))
    } catch (error) {
      open.fail(errorTypeOf(error))
      throw error
    }
  }

  /** Begins a span below that of the work under way; undefined: that is not sampled. */
  #child(name: string, kind: SpanKind, attributes: Attributes): Span | undefined {
    const scope = this.present
    if (!scope?.isSampled) return undefined
    return this.#tracer.startSpan(name, { kind, attributes }, trace.setSpan(ROOT_CONTEXT, scope.span))
  }

  /**
   * Begins a fill for the work of a scope. Its span is a child of the span of the request that has started it; all that wait
   * for the fill have a link to it.
   * @param isRefresh is it run ahead of the next request? Then it is a trace of its own, linked to the request that it is owed to
   */
  fill(scope: Scope | undefined, kind: string, isRefresh = false): FillTrace {
    const within = this.within.bind(this)
    if (!scope?.isSampled) return new FillTrace({ within, scope, span: undefined, note: () => {} })
    const attributes = { 'refstream.fill.kind': kind }
    const span = isRefresh
      ? this.#tracer.startSpan('fill', { attributes, links: [{ context: scope.context }] }, ROOT_CONTEXT)
      : this.#tracer.startSpan('fill', { attributes }, trace.setSpan(ROOT_CONTEXT, scope.span))
    const context = span.spanContext()
    return new FillTrace({
      ...{ within, scope: new Scope(span), span: new OpenSpan(span) },
      note: (entry) => this.#fills.set(entry, context),
    })
  }

  /**
   * Reads an entry in a span with a link to the fill that makes it. For a request it ends with the first byte of the answer,
   * else with the reading. There is none if the entry was there.
   */
  waiting<T extends Reading>(read: () => T | Promise<T>): T | Promise<T> {
    const scope = this.present
    const span = this.#child('wait for fill', SpanKind.INTERNAL, {})
    const found = read()
    if (!span) return found
    const waits = (reading: T): T => {
      const { entry, reuse } = reading
      if (reuse === 'hit') return reading
      span.setAttribute('refstream.reuse', reuse)
      const context = this.#fills.get(entry)
      if (context) span.addLink({ context })
      if (scope?.waits) scope.waits.add(span)
      else span.end()
      return reading
    }
    if (!(found instanceof Promise)) return waits(found)
    return found.then(waits, (error: unknown) => {
      new OpenSpan(span).fail(errorTypeOf(error))
      throw error
    })
  }

  /** Begins the span of a Git process. @param hasSecrets is no trace of its own to be asked for? */
  process(command: string, environment: NodeJS.ProcessEnv, hasSecrets: boolean): ProcessTrace | undefined {
    const span = this.#child(`git ${command}`, SpanKind.INTERNAL, { 'refstream.git.command': command })
    if (!span) return undefined
    const isTraced = environment['GIT_TRACE2_EVENT'] !== undefined
    const file = hasSecrets || isTraced ? undefined : this.#trace2?.fileFor(span.spanContext().spanId)
    return new ProcessTrace(this.#tracer, span, file)
  }
}
