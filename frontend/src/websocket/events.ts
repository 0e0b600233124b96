/** What travels on `/ws/`: the mirror of `domain/messages.py` and of each topic's events. */
import type { BacktestProgress, Run, Sweep } from '@/api/backtests'
import type { Bot, Decision, ParityRun } from '@/api/bots'
import type { CandleRow, Health, HeartbeatStatus, Incident, RawTrade, Timeframe } from '@/api/core'
import type { LogLine } from '@/api/logs'
import type { Position, Trade } from '@/api/orders'
import type { QuickTestNews } from '@/api/strategies'
import type { WebhookCall } from '@/api/webhooks'

export const VERSION = 1

export const TOPICS = ['status', 'heartbeat', 'stream', 'orders', 'bots', 'backtests', 'webhooks', 'loading', 'logs'] as const
export type Topic = (typeof TOPICS)[number]

export interface ExchangeState {
  id: string
  state: string
  progress: number | null
  count: number | null
}

export interface Summary {
  active_strategies: number
  exchanges: ExchangeState[]
}

export interface MarketsEvent {
  exchange: string
  state: string
  progress: number | null
  count: number | null
  error?: string | null
}

/** Data of each event, by `topic/type`. */
export interface EventData {
  'status/health': Health
  'status/summary': Summary
  'heartbeat/candle': CandleRow
  'heartbeat/status': HeartbeatStatus
  'heartbeat/incident': Incident
  'heartbeat/forming': Partial<Record<Timeframe, CandleRow>>
  'stream/batch': { messages: RawTrade[]; dropped: number }
  'orders/trade': Trade
  'orders/position': Position
  'bots/bot': Partial<Bot> & Pick<Bot, 'id'>
  'bots/decision': Decision & { bot: number }
  'bots/restoration': Record<string, never> // there is news: ask
  'bots/parity': Omit<ParityRun, 'differences'>
  'backtests/run': Run
  'backtests/sweep': Sweep
  'backtests/progress': BacktestProgress
  'backtests/quick_test': QuickTestNews
  'webhooks/call': WebhookCall
  'webhooks/calls': { calls: WebhookCall[] }
  'loading/markets': MarketsEvent
  'logs/lines': { lines: LogLine[]; dropped: number }
}
export type EventName = keyof EventData

export interface LiveEvent {
  v: number
  topic: Topic
  type: string
  id: string
  data: unknown
  sent_at: string
}

/** A refusal sent on the socket itself, which belongs to no topic. */
export interface SocketError {
  type: 'error'
  code: string
  message: string
}

export type Incoming = { kind: 'event'; event: LiveEvent } | { kind: 'error'; error: SocketError } | { kind: 'other' }

/** Reads one text frame. What is not an event of this version is `other`, never an exception. */
export function readFrame(text: string): Incoming {
  let message: unknown
  try {
    message = JSON.parse(text)
  } catch {
    return { kind: 'other' }
  }
  if (!message || typeof message !== 'object') return { kind: 'other' }
  const fields = message as Record<string, unknown>
  if (fields.type === 'error') return { kind: 'error', error: message as SocketError }
  const known = fields.v === VERSION && TOPICS.includes(fields.topic as Topic) && typeof fields.type === 'string'
  return known ? { kind: 'event', event: message as LiveEvent } : { kind: 'other' }
}
