import type { Serializable } from 'node:child_process'
import type { EventEmitter } from 'node:events'
import type { Channel } from '../../fleet/engines/workers/channel.js'

/** A process with an IPC channel: a worker as the primary has it, or the process of a worker itself. */
export interface IpcEnd extends Pick<EventEmitter, 'on' | 'off' | 'once'> {
  readonly connected: boolean
  send?(message: Serializable, handle: undefined, options: undefined, sent: () => void): boolean
}

/** Two conversations that share the IPC channel of a process. */
export type Topic = 'control' | 'fleet'

/** Returns one of the conversations with a process. */
export function topicOf(end: IpcEnd, topic: Topic): Channel {
  return {
    send: (message, sent = () => {}) => {
      // The callback is called in any case; without one, Node emits errors of a channel that is closed.
      if (end.connected && end.send) return end.send([topic, message], undefined, undefined, sent)
      setImmediate(sent)
      return false
    },
    onMessage: (listener) => {
      const take = (envelope: readonly [Topic, unknown]): void => {
        if (envelope[0] === topic) listener(envelope[1])
      }
      end.on('message', take)
      return () => end.off('message', take)
    },
    onClose: (listener) => {
      if (!end.connected) setImmediate(listener)
      else end.once('disconnect', listener)
      return () => end.off('disconnect', listener)
    },
  }
}
