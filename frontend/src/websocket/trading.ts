/**
 * The manual terminal's connection to `/ws/trading/`: one answer per request, and the selection's events.
 *
 * Invariant: a request is answered, refused or given up after its time, never forgotten. It keeps its
 * `request_id` through a reconnection, where it is asked again: the server does nothing twice for one id.
 */
import { ApiError } from '@/api/errors'
import type { Requests, RequestType, TradingEvent, TradingEvents } from '@/api/trading'
import { formatDuration } from '@/utils/time'
import { VERSION } from './events'
import { backOffMs, UNAUTHENTICATED, type Link, type SocketLike } from './socket'

export interface TradingSocketOptions {
  open: () => SocketLike
  now?: () => number
  random?: () => number
  newId?: () => string
}

export interface AskOptions {
  timeoutMs?: number
  /** The id of an earlier request that was never answered, to be asked again as the same one. */
  requestId?: string
}

interface Waiting {
  text: string
  type: RequestType
  sentAt: number | null
  timer: ReturnType<typeof setTimeout>
  resolve: (data: unknown) => void
  reject: (error: ApiError) => void
}

type Handler = (data: unknown) => void

export const ANSWER_MS = 10_000

const WORDS: Record<RequestType, string> = {
  select: 'au choix du broker', symbols: 'à la recherche de symboles', market: 'à la lecture du marché', portfolio: 'à la lecture du portefeuille',
  preview: 'au calcul de l’ordre', validate: 'à la validation', submit: 'à l’envoi de l’ordre', cancel: 'à la demande d’annulation',
  cancel_all: 'à la demande d’annulation de tous les ordres', amend: 'à la demande de modification', orders: 'à la lecture des ordres ouverts',
  history: 'à la lecture de l’historique', positions: 'à la lecture des positions', book: 'à la lecture du carnet', candles: 'à la lecture des bougies',
}

export class TradingSocket {
  private readonly handlers = new Map<string, Set<Handler>>()
  private readonly reconnected = new Set<() => void>()
  private readonly watchers = new Set<(link: Link) => void>()
  private readonly waiting = new Map<string, Waiting>()
  private readonly options: Required<TradingSocketOptions>
  private socket: SocketLike | null = null
  private timer: ReturnType<typeof setTimeout> | undefined
  private attempt = 0
  private wasOpen = false
  private heardAt = 0
  private link: Link = { state: 'closed', retryAt: null }
  /** Called when the server refuses the connection for want of a session. */
  onUnauthenticated: () => void = () => undefined

  constructor(options: TradingSocketOptions) {
    this.options = { now: () => Date.now(), random: () => Math.random(), newId: () => crypto.randomUUID(), ...options }
  }

  /** Opens the connection (does nothing when it is already there). */
  connect(): void {
    if (this.socket) return
    clearTimeout(this.timer)
    this.setLink({ state: this.wasOpen || this.attempt > 0 ? 'lost' : 'connecting', retryAt: null })
    const socket = this.options.open()
    this.socket = socket
    socket.onopen = () => this.opened(socket)
    socket.onmessage = (event) => this.received(socket, event.data)
    socket.onclose = (event) => this.closed(socket, event.code)
  }

  /** Closes for good, until the next `connect()`; what waits for an answer is given up. */
  disconnect(): void {
    clearTimeout(this.timer)
    const socket = this.socket
    this.socket = null
    this.attempt = 0
    this.wasOpen = false
    socket?.close()
    for (const id of [...this.waiting.keys()]) this.giveUp(id, 'La page a été quittée avant la réponse du serveur.', 'closed')
    this.setLink({ state: 'closed', retryAt: null })
  }

  /** A fresh id, for a caller that may have to ask again. */
  newId(): string {
    return this.options.newId()
  }

  /**
   * Asks, and waits for the answer.
   *
   * Raises: ApiError with the server's code and French message, or `deadline_exceeded` without an answer in time.
   */
  ask<T extends RequestType>(type: T, params: Requests[T]['params'], options: AskOptions = {}): Promise<Requests[T]['answer']> {
    const id = options.requestId ?? this.newId()
    const timeoutMs = options.timeoutMs ?? ANSWER_MS
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        text: JSON.stringify({ ...params, request_id: id, type }),
        type,
        sentAt: null,
        timer: setTimeout(() => this.timedOut(id, timeoutMs), timeoutMs),
        resolve: resolve as (data: unknown) => void,
        reject,
      }
      this.waiting.set(id, waiting)
      this.send(waiting)
    })
  }

  /** Listens to one kind of event. Returns the function that stops. */
  on<N extends TradingEvent>(name: N, handler: (data: TradingEvents[N]) => void): () => void {
    const handlers = this.handlers.get(name) ?? new Set<Handler>()
    this.handlers.set(name, handlers.add(handler as Handler))
    return () => handlers.delete(handler as Handler)
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

  private send(waiting: Waiting): void {
    if (this.link.state !== 'open') return
    waiting.sentAt = this.options.now()
    this.socket?.send(waiting.text)
  }

  private opened(socket: SocketLike): void {
    if (socket !== this.socket) return
    const again = this.wasOpen
    this.attempt = 0
    this.wasOpen = true
    this.setLink({ state: 'open', retryAt: null })
    this.waiting.forEach((waiting) => this.send(waiting))
    if (again) this.reconnected.forEach((callback) => callback())
  }

  private received(socket: SocketLike, text: string): void {
    if (socket !== this.socket) return
    this.heardAt = this.options.now()
    const message = parse(text)
    if (!message) return
    if (typeof message.request_id === 'string') this.answered(message.request_id, message)
    else if (message.v === VERSION) this.handlers.get(`${String(message.topic)}/${String(message.type)}`)?.forEach((handler) => handler(message.data))
  }

  private answered(id: string, message: Record<string, unknown>): void {
    const waiting = this.waiting.get(id)
    if (!waiting) return // answered before, or given up: events say what became of it
    this.waiting.delete(id)
    clearTimeout(waiting.timer)
    if (message.ok === true) waiting.resolve(message.data)
    else waiting.reject(refusal(message.error))
  }

  private timedOut(id: string, timeoutMs: number): void {
    const waiting = this.waiting.get(id)
    if (!waiting) return
    const reason = this.link.state === 'open' ? '' : ' : la connexion est perdue'
    this.giveUp(id, `Le serveur Aristobot n’a pas répondu ${WORDS[waiting.type]} en ${formatDuration(timeoutMs)}${reason}.`, 'deadline_exceeded')
    // Nothing at all since it was asked: TCP has not noticed that the link is dead.
    const socket = this.socket
    if (!socket || waiting.sentAt === null || this.heardAt >= waiting.sentAt) return
    socket.close()
    this.closed(socket, 1006)
  }

  private giveUp(id: string, message: string, code: string): void {
    const waiting = this.waiting.get(id)
    if (!waiting) return
    this.waiting.delete(id)
    clearTimeout(waiting.timer)
    waiting.reject(new ApiError(message, code, 0))
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
    this.timer = setTimeout(() => this.connect(), delay)
  }

  private setLink(link: Link): void {
    this.link = link
    this.watchers.forEach((callback) => callback(link))
  }
}

function parse(text: string): Record<string, unknown> | null {
  try {
    const message: unknown = JSON.parse(text)
    return message && typeof message === 'object' ? (message as Record<string, unknown>) : null
  } catch {
    return null
  }
}

function refusal(error: unknown): ApiError {
  const { code, message, details } = (error ?? {}) as { code?: unknown; message?: unknown; details?: unknown }
  const text = typeof message === 'string' ? message : 'Réponse inattendue du serveur.'
  return new ApiError(text, typeof code === 'string' ? code : 'unexpected', 0, (details ?? {}) as Record<string, unknown>)
}

function openBrowserSocket(): SocketLike {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
  return new WebSocket(`${scheme}://${location.host}/ws/trading/`) as unknown as SocketLike
}

/** The application's own terminal; connected only while its page is shown. */
export const terminal = new TradingSocket({ open: openBrowserSocket })
