/**
 * The manual terminal's connection to `/ws/trading/`: one answer per request, and the selection's events.
 *
 * Invariant: a request is answered, refused or given up after its time, never forgotten. It keeps its
 * `request_id` through a reconnection, where it is asked again: the server does nothing twice for one id.
 */
import { ApiError } from '@/api/errors'
import type { Requests, RequestType, TradingEvent, TradingEvents } from '@/api/trading'
import { newId } from '@/utils/ids'
import { formatDuration } from '@/utils/time'
import { Connection, openBrowserSocket, type ConnectionOptions, type Link } from './connection'
import { VERSION } from './events'

export interface TradingSocketOptions extends ConnectionOptions {
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
  cancel_all: 'à la demande d’annulation de tous les ordres', amend: 'à la demande de modification', close: 'à la demande de clôture', orders: 'à la lecture des ordres ouverts',
  history: 'à la lecture de l’historique', positions: 'à la lecture des positions', book: 'à la lecture du carnet', candles: 'à la lecture des bougies',
}

export class TradingSocket {
  private readonly handlers = new Map<string, Set<Handler>>()
  private readonly waiting = new Map<string, Waiting>()
  private readonly connection: Connection
  private readonly now: () => number
  private readonly freshId: () => string
  private heardAt = 0

  constructor(options: TradingSocketOptions) {
    this.now = options.now ?? (() => Date.now())
    this.freshId = options.newId ?? newId
    this.connection = new Connection(options, {
      opened: () => this.waiting.forEach((waiting) => this.send(waiting)),
      received: (text) => this.received(text),
      ended: () => this.abandon(),
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

  /** Closes for good, until the next `connect()`; what waits for an answer is given up. */
  disconnect(): void {
    this.connection.disconnect()
  }

  /** A fresh id, for a caller that may have to ask again. */
  newId(): string {
    return this.freshId()
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
    return this.connection.onReconnect(callback)
  }

  /** Follows the state of the connection, starting with the present one. */
  watch(callback: (link: Link) => void): () => void {
    return this.connection.watch(callback)
  }

  private send(waiting: Waiting): void {
    const at = this.now()
    if (this.connection.send(waiting.text)) waiting.sentAt = at
  }

  private received(text: string): void {
    this.heardAt = this.now()
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
    const reason = this.connection.isOpen ? '' : ' : la connexion est perdue'
    this.giveUp(id, `Le serveur Aristobot n’a pas répondu ${WORDS[waiting.type]} en ${formatDuration(timeoutMs)}${reason}.`, 'deadline_exceeded')
    // Nothing at all since it was asked: TCP has not noticed that the link is dead.
    if (waiting.sentAt !== null && this.heardAt < waiting.sentAt) this.connection.takeForDead()
  }

  private giveUp(id: string, message: string, code: string): void {
    const waiting = this.waiting.get(id)
    if (!waiting) return
    this.waiting.delete(id)
    clearTimeout(waiting.timer)
    waiting.reject(new ApiError(message, code, 0))
  }

  private abandon(): void {
    for (const id of [...this.waiting.keys()]) this.giveUp(id, 'La page a été quittée avant la réponse du serveur.', 'closed')
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

/** The application's own terminal; connected only while its page is shown. */
export const terminal = new TradingSocket({ open: () => openBrowserSocket('/ws/trading/') })
