/** A connection between two processes that carries JSON in order: Node's IPC, or one half of a pair in tests. */
export interface Channel {
  /**
   * Sends a message. What JSON has no form for, such as undefined, is left out or becomes null.
   * @param sent called when the message was written, or cannot be
   * @returns false: messages before this one are still waiting to be written
   */
  send(message: unknown, sent?: () => void): boolean

  /** @returns stops it */
  onMessage(listener: (message: unknown) => void): () => void

  /** Calls once, when the other process has ended or closed the connection; at once if that was before. @returns stops it */
  onClose(listener: () => void): () => void
}
