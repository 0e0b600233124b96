/** A scripted end of `/ws/trading/` for specs: answers by type, remembers what it was asked, sends events. */
import { vi } from 'vitest'
import type { RequestType, TradingEvent, TradingEvents } from '@/api/trading'
import type { SocketLike } from '@/websocket/connection'
import { TradingSocket } from '@/websocket/trading'

export interface Asked {
  request_id: string
  type: RequestType
  [param: string]: unknown
}

/** An answer's data, a refusal, or nothing at all (`silent`). */
export type Reply = { data: unknown } | { error: { code: string; message: string; details?: Record<string, unknown> } } | 'silent'
export type Replies = Partial<Record<RequestType, Reply | ((asked: Asked) => Reply)>>

class ServerEnd implements SocketLike {
  onopen: (() => void) | null = null
  onclose: ((event: { code: number }) => void) | null = null
  onmessage: ((event: { data: string }) => void) | null = null

  constructor(private readonly server: FakeTerminal) {}

  send(text: string): void {
    this.server.receive(this, JSON.parse(text) as Asked)
  }

  close(): void {
    // Our side closed: the browser reports it later, and the client has forgotten this socket by then.
  }
}

export class FakeTerminal {
  readonly asked: Asked[] = []
  readonly ends: ServerEnd[] = []
  readonly client: TradingSocket
  /** Whether a new connection is accepted at once. */
  accepts = true

  constructor(public replies: Replies = {}) {
    this.client = new TradingSocket({ open: () => this.accept(), random: () => 0 })
  }

  /** Answers the application's own terminal instead of this object's client. */
  install(): this {
    const accept = (): ServerEnd => this.accept()
    vi.stubGlobal('WebSocket', function () {
      return accept()
    })
    return this
  }

  of(type: RequestType): Asked[] {
    return this.asked.filter((one) => one.type === type)
  }

  emit<N extends TradingEvent>(name: N, data: TradingEvents[N]): void {
    const [topic, type] = name.split('/')
    this.push({ v: 1, topic, type, data, sent_at: '' })
  }

  /** Cuts the connection as a network would. */
  cut(code = 1006): void {
    this.ends.at(-1)?.onclose?.({ code })
  }

  receive(end: ServerEnd, asked: Asked): void {
    this.asked.push(asked)
    const scripted = this.replies[asked.type]
    const reply = typeof scripted === 'function' ? scripted(asked) : scripted
    if (!reply || reply === 'silent') return
    const body = 'data' in reply ? { ok: true, data: reply.data } : { ok: false, error: { details: {}, ...reply.error } }
    queueMicrotask(() => end.onmessage?.({ data: JSON.stringify({ request_id: asked.request_id, ...body }) }))
  }

  private accept(): ServerEnd {
    const end = new ServerEnd(this)
    this.ends.push(end)
    if (this.accepts) queueMicrotask(() => end.onopen?.())
    return end
  }

  private push(message: object): void {
    this.ends.at(-1)?.onmessage?.({ data: JSON.stringify(message) })
  }
}
