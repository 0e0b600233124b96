/** Active strategies, « bots » on screen (backend app `trading_engine`). */
import { get, getAll, post, type Page } from './client'
import type { Timeframe } from './core'
import type { Position, Trade } from './orders'
import type { TradingMode } from './session'

export type BotState = 'running' | 'waiting' | 'suspended' | 'stopped' | 'paused_error' | 'ended'

export interface Decision {
  id: number
  signal_id: string
  close_time: string
  status: 'leased' | 'decided' | 'missed' | 'failed'
  action: 'buy' | 'sell' | 'none' | null
  reason: string
  details: Record<string, unknown> | null
  decided_at: string | null
  trade: number | null
}

export interface Bot {
  id: number
  strategy: number
  strategy_name: string
  broker: number
  broker_name: string
  mode: TradingMode
  symbol: string
  timeframe: Timeframe
  start_date: string
  end_date: string
  is_active: boolean
  amount: string | null
  params: Record<string, unknown>
  state: BotState
  pause_reason: string
  pause_details: { line?: number | null; traceback?: string } | null
  paused_at: string | null
  created_at: string
  last_decision: Decision | null
  position: Position | null
  realized_pnl: string
  unrealized_pnl: string | null
  trades: Trade[]
  quote_currency: string
}

export interface NewBot {
  strategy: number
  broker: number
  symbol: string
  timeframe: Timeframe
  start_date: string
  end_date: string
  is_active: boolean
  amount?: string
}

export const fetchBots = (): Promise<Bot[]> => getAll('/api/bots/')
export const createBot = (bot: NewBot): Promise<Bot> => post('/api/bots/', bot)
export const stopBot = (id: number, confirm: boolean): Promise<Bot> => post(`/api/bots/${id}/stop/`, { confirm })
export const suspendBot = (id: number): Promise<Bot> => post(`/api/bots/${id}/suspend/`)
export const resumeBot = (id: number): Promise<Bot> => post(`/api/bots/${id}/resume/`)
export const sellBot = (id: number): Promise<Bot> => post(`/api/bots/${id}/sell/`)
export const fetchDecisions = (id: number): Promise<Page<Decision>> => get(`/api/bots/${id}/decisions/`)
