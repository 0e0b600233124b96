/**
 * One live connection to `/ws/`, shared by every page.
 *
 * Invariant: while somebody listens to a topic, the server is subscribed to it; after any loss the connection
 * subscribes again and tells the listeners to refetch, because what was published meanwhile is gone (events
 * are at-most-once).
 */
import { Connection, type ConnectionOptions, type Link } from './connection'
import { readFrame, type EventData, type EventName, type LiveEvent, type SocketError, type Topic } from './events'

export interface LiveSocketOptions extends ConnectionOptions {
  /** Silence after which an open connection is taken for dead and reopened. */
  silenceMs?: number
}

type Handler = (data: unknown, event: LiveEvent) => void

const SILENCE_MS = 15_000

export class LiveSocket {
  private readonly handlers = new Map<string, Set<Handler>>()
  private readonly topics = new Map<Topic, number>()
  private readonly connection: Connection
  private watchdog: unknown = null
  /** Called with each refusal that the server sends on the socket. */
  onError: (error: SocketError) => void = () => undefined

  constructor(private readonly options: LiveSocketOptions) {
    this.connection = new Connection(options, {
      opened: () => this.opened(),
      received: (text) => this.received(text),
      ended: () => this.stopWatchdog(),
    })
  }

  /** Called when the server refuses the connection for want of a session. */
  set onUnauthenticated(callback: () => void) {
    this.connection.onUnauthenticated = callback
  }

  /** Opens the connection (does nothing when it is already there). */
  connect(): void {
    this.connection.connect()
  }

  /** Closes for good, until the next `connect()`. Subscriptions are kept. */
  disconnect(): void {
    this.connection.disconnect()
  }

  /** Tries again now instead of waiting for the back-off. */
  retryNow(): void {
    this.connection.retryNow()
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
    return this.connection.onReconnect(callback)
  }

  /** Follows the state of the connection, starting with the present one. */
  watch(callback: (link: Link) => void): () => void {
    return this.connection.watch(callback)
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
    this.connection.send(JSON.stringify(message))
  }

  private opened(): void {
    if (this.topics.size) this.send({ type: 'subscribe', topics: [...this.topics.keys()] })
    this.feedWatchdog()
  }

  private received(text: string): void {
    this.feedWatchdog()
    const incoming = readFrame(text)
    if (incoming.kind === 'error') this.onError(incoming.error)
    if (incoming.kind !== 'event') return
    const { event } = incoming
    this.handlers.get(`${event.topic}/${event.type}`)?.forEach((handler) => handler(event.data, event))
  }

  private feedWatchdog(): void {
    this.stopWatchdog()
    const schedule = this.options.schedule ?? ((callback: () => void, delayMs: number): unknown => setTimeout(callback, delayMs))
    this.watchdog = schedule(() => {
      // The status topic speaks every 2 s: a long silence is a dead link that TCP has not noticed.
      if (this.connection.isOpen && this.topics.has('status')) this.connection.takeForDead()
    }, this.options.silenceMs ?? SILENCE_MS)
  }

  private stopWatchdog(): void {
    const cancel = this.options.cancel ?? ((handle: unknown): void => clearTimeout(handle as number))
    if (this.watchdog !== null) cancel(this.watchdog)
    this.watchdog = null
  }
}
