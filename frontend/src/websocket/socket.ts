/**
 * One live connection to `/ws/`, shared by every page.
 *
 * Invariant: while somebody listens to a topic, the server is subscribed to it; after any loss the
 * connection comes back with jittered back-off, subscribes again and tells the listeners to refetch,
 * because what was published meanwhile is gone (events are at-most-once).
 */
import { readFrame, type EventData, type EventName, type LiveEvent, type SocketError, type Topic } from './events'

export type LinkState = 'closed' | 'connecting' | 'open' | 'lost'

/** Close code by which the server says that nobody is logged in. Retrying cannot help. */
export const UNAUTHENTICATED = 4401

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

export interface LiveSocketOptions {
  open: () => SocketLike
  now?: () => number
  random?: () => number
  schedule?: (callback: () => void, delayMs: number) => unknown
  cancel?: (handle: unknown) => void
  /** Silence after which an open connection is taken for dead and reopened. */
  silenceMs?: number
}

type Handler = (data: unknown, event: LiveEvent) => void

const FIRST_DELAY_MS = 1_000
const LAST_DELAY_MS = 30_000

/** Delay before attempt `n` (0 first): 1, 2, 4 … 30 s, of which the last half is drawn at random. */
export function backOffMs(attempt: number, random: number): number {
  const full = Math.min(LAST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt)
  return full / 2 + (full / 2) * random
}

export class LiveSocket {
  private readonly handlers = new Map<string, Set<Handler>>()
  private readonly topics = new Map<Topic, number>()
  private readonly reconnected = new Set<() => void>()
  private readonly watchers = new Set<(link: Link) => void>()
  private readonly options: Required<LiveSocketOptions>
  private socket: SocketLike | null = null
  private timer: unknown = null
  private watchdog: unknown = null
  private attempt = 0
  private wasOpen = false
  private link: Link = { state: 'closed', retryAt: null }
  /** Called when the server refuses the connection for want of a session. */
  onUnauthenticated: () => void = () => undefined
  /** Called with each refusal that the server sends on the socket. */
  onError: (error: SocketError) => void = () => undefined

  constructor(options: LiveSocketOptions) {
    this.options = {
      now: () => Date.now(),
      random: () => Math.random(),
      schedule: (callback, delayMs) => setTimeout(callback, delayMs),
      cancel: (handle) => clearTimeout(handle as number),
      silenceMs: 15_000,
      ...options,
    }
  }

  /** Opens the connection (does nothing when it is already there). */
  connect(): void {
    if (this.socket) return
    this.cancelTimer()
    this.setLink({ state: this.wasOpen || this.attempt > 0 ? 'lost' : 'connecting', retryAt: null })
    const socket = this.options.open()
    this.socket = socket
    socket.onopen = () => this.opened(socket)
    socket.onmessage = (event) => this.received(socket, event.data)
    socket.onclose = (event) => this.closed(socket, event.code)
  }

  /** Closes for good, until the next `connect()`. Subscriptions are kept. */
  disconnect(): void {
    this.cancelTimer()
    this.stopWatchdog()
    const socket = this.socket
    this.socket = null
    this.attempt = 0
    this.wasOpen = false
    socket?.close()
    this.setLink({ state: 'closed', retryAt: null })
  }

  /** Tries again now instead of waiting for the back-off. */
  retryNow(): void {
    if (this.link.state === 'lost' && !this.socket) this.connect()
  }

  /** Listens to one kind of event. Returns the function that stops. */
  on<N extends EventName>(name: N, handler: (data: EventData[N], event: LiveEvent) => void): () => void {
    const topic = name.split('/')[0] as Topic
    const handlers = this.handlers.get(name) ?? new Set<Handler>()
    this.handlers.set(name, handlers.add(handler as Handler))
    this.hold(topic)
    return () => {
      if (handlers.delete(handler as Handler)) this.release(topic)
    }
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

  private hold(topic: Topic): void {
    const count = this.topics.get(topic) ?? 0
    this.topics.set(topic, count + 1)
    if (count === 0) this.send({ type: 'subscribe', topics: [topic] })
  }

  private release(topic: Topic): void {
    const count = (this.topics.get(topic) ?? 1) - 1
    if (count > 0) {
      this.topics.set(topic, count)
      return
    }
    this.topics.delete(topic)
    this.send({ type: 'unsubscribe', topics: [topic] })
  }

  private send(message: object): void {
    if (this.link.state === 'open') this.socket?.send(JSON.stringify(message))
  }

  private opened(socket: SocketLike): void {
    if (socket !== this.socket) return
    const again = this.wasOpen
    this.attempt = 0
    this.wasOpen = true
    this.setLink({ state: 'open', retryAt: null })
    if (this.topics.size) this.send({ type: 'subscribe', topics: [...this.topics.keys()] })
    this.feedWatchdog()
    if (again) this.reconnected.forEach((callback) => callback())
  }

  private received(socket: SocketLike, text: string): void {
    if (socket !== this.socket) return
    this.feedWatchdog()
    const incoming = readFrame(text)
    if (incoming.kind === 'error') this.onError(incoming.error)
    if (incoming.kind !== 'event') return
    const { event } = incoming
    this.handlers.get(`${event.topic}/${event.type}`)?.forEach((handler) => handler(event.data, event))
  }

  private closed(socket: SocketLike, code: number): void {
    if (socket !== this.socket) return
    this.socket = null
    this.stopWatchdog()
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

  private feedWatchdog(): void {
    this.stopWatchdog()
    const socket = this.socket
    this.watchdog = this.options.schedule(() => {
      // The status topic speaks every 2 s: a long silence is a dead link that TCP has not noticed.
      if (!socket || socket !== this.socket || !this.topics.has('status')) return
      socket.close()
      this.closed(socket, 1006)
    }, this.options.silenceMs)
  }

  private stopWatchdog(): void {
    if (this.watchdog !== null) this.options.cancel(this.watchdog)
    this.watchdog = null
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
