/** Trades and positions (backend app `orders`). */
import { getAll, type Query } from './client'

export type OrderStatus =
  | 'pending'
  | 'sending'
  | 'open'
  | 'partially_filled'
  | 'filled'
  | 'cancelled'
  | 'rejected'
  | 'expired'
  | 'unknown'

export interface Trade {
  id: number
  client_order_id: string
  broker: number
  bot: number | null
  strategy: number | null
  source: string
  intent: string
  symbol: string
  side: 'buy' | 'sell'
  type: string
  quantity: string | null
  price: string | null
  average_price: string | null
  filled_quantity: string
  fee: string | null
  fee_currency: string | null
  status: OrderStatus
  error_message: string
  profit_loss: string | null
  created_at: string
  market_time: string | null
}

export interface Position {
  id: number
  broker: number
  bot: number | null
  symbol: string
  owner: string
  side: string
  quantity: string
  entry_price: string | null
  current_price: string | null
  stop_loss: string | null
  take_profit: string | null
  realized_pnl: string | null
  unrealized_pnl: string | null
  status: string
  opened_at: string
  closed_at: string | null
}

export const fetchTrades = (query: Query): Promise<Trade[]> => getAll('/api/trades/', query)
