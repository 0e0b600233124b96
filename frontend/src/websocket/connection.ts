/**
 * A WebSocket that comes back: what every socket of the application has in common.
 *
 * Invariant: after any loss it is opened again with a jittered back-off, until `disconnect()` or until the
 * server says that nobody is logged in. A socket that was left can say nothing any more.
 */

export type LinkState = 'closed' | 'connecting' | 'open' | 'lost'

/** Close code by which the server says that nobody is logged in. Retrying cannot help. */
export const UNAUTHENTICATED = 4401

/** What a browser reports of a connection that broke without a word. */
const ABNORMAL = 1006

export interface Link {
  state: LinkState
  /** When the next attempt is due, in epoch milliseconds; only while `lost`. */
  retryAt: number | null
}

export interface SocketLike {
  send(text: string): void
  close(): void
  onopen: (() => void) | null
  onclose: ((event: { code: number }) => void) | null
  onmessage: ((event: { data: string }) => void) | null
}

export interface ConnectionOptions {
  open: () => SocketLike
  now?: () => number
  random?: () => number
  schedule?: (callback: () => void, delayMs: number) => unknown
  cancel?: (handle: unknown) => void
}

/** What the owner of a connection does when it moves. */
export interface ConnectionHooks {
  /** It is open, for the first time or again: what the server must know is said now. */
  opened: () => void
  received: (text: string) => void
  /** It was closed for good: nothing more is to be expected. */
  ended: () => void
}

const FIRST_DELAY_MS = 1_000
const LAST_DELAY_MS = 30_000

/** Delay before attempt `n` (0 first): 1, 2, 4 … 30 s, of which the last half is drawn at random. */
export function backOffMs(attempt: number, random: number): number {
  const full = Math.min(LAST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt)
  return full / 2 + (full / 2) * random
}

/** Opens a socket of our own server. */
export function openBrowserSocket(path: string): SocketLike {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
  return new WebSocket(`${scheme}://${location.host}${path}`) as unknown as SocketLike
}

export class Connection {
  private readonly reconnected = new Set<() => void>()
  private readonly watchers = new Set<(link: Link) => void>()
  private readonly options: Required<ConnectionOptions>
  private socket: SocketLike | null = null
  private timer: unknown = null
  private attempt = 0
  private wasOpen = false
  private link: Link = { state: 'closed', retryAt: null }
  /** Called when the server refuses the connection for want of a session. */
  onUnauthenticated: () => void = () => undefined

  constructor(options: ConnectionOptions, private readonly hooks: ConnectionHooks) {
    this.options = {
      now: () => Date.now(),
      random: () => Math.random(),
      schedule: (callback, delayMs) => setTimeout(callback, delayMs),
      cancel: (handle) => clearTimeout(handle as number),
      ...options,
    }
  }

  get isOpen(): boolean {
    return this.link.state === 'open'
  }

  /** Opens the connection (does nothing when it is already there). */
  connect(): void {
    if (this.socket) return
    this.cancelTimer()
    this.setLink({ state: this.wasOpen || this.attempt > 0 ? 'lost' : 'connecting', retryAt: null })
    const socket = this.options.open()
    this.socket = socket
    socket.onopen = () => this.opened(socket)
    socket.onmessage = (event) => socket === this.socket && this.hooks.received(event.data)
    socket.onclose = (event) => this.closed(socket, event.code)
  }

  /** Closes for good, until the next `connect()`. */
  disconnect(): void {
    this.cancelTimer()
    const socket = this.socket
    this.socket = null
    this.attempt = 0
    this.wasOpen = false
    socket?.close()
    this.hooks.ended()
    this.setLink({ state: 'closed', retryAt: null })
  }

  /** Tries again now instead of waiting for the back-off. */
  retryNow(): void {
    if (this.link.state === 'lost' && !this.socket) this.connect()
  }

  /** Gives up a link that says nothing any more, which TCP has not noticed; another one is opened. */
  takeForDead(): void {
    const socket = this.socket
    if (!socket) return
    socket.close()
    this.closed(socket, ABNORMAL)
  }

  /** Sends if it is open; says whether it did. */
  send(text: string): boolean {
    if (!this.isOpen) return false
    this.socket?.send(text)
    return true
  }

  /** Runs `callback` after each reconnection, when the server's state must be read again. */
  onReconnect(callback: () => void): () => void {
    this.reconnected.add(callback)
    return () => this.reconnected.delete(callback)
  }

  /** Follows the state of the connection, starting with the present one. */
  watch(callback: (link: Link) => void): () => void {
    this.watchers.add(callback)
    callback(this.link)
    return () => this.watchers.delete(callback)
  }

  private opened(socket: SocketLike): void {
    if (socket !== this.socket) return
    const again = this.wasOpen
    this.attempt = 0
    this.wasOpen = true
    this.setLink({ state: 'open', retryAt: null })
    this.hooks.opened()
    if (again) this.reconnected.forEach((callback) => callback())
  }

  private closed(socket: SocketLike, code: number): void {
    if (socket !== this.socket) return
    this.socket = null
    if (code === UNAUTHENTICATED) {
      this.disconnect()
      this.onUnauthenticated()
      return
    }
    const delay = backOffMs(this.attempt, this.options.random())
    this.attempt += 1
    this.setLink({ state: 'lost', retryAt: this.options.now() + delay })
    this.timer = this.options.schedule(() => this.connect(), delay)
  }

  private cancelTimer(): void {
    if (this.timer !== null) this.options.cancel(this.timer)
    this.timer = null
  }

  private setLink(link: Link): void {
    this.link = link
    this.watchers.forEach((callback) => callback(link))
  }
}
